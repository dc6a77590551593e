/** Writes the signed evidence: `NAME.json`, the envelope, and `NAME.html`, the same for people. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { BiplaneError, day } from "@biplane/base";
import { clusterUri } from "@biplane/identity";
import { issueDocumentSigner } from "@biplane/kit/certificates";
import { readKeyFile } from "@biplane/kit/crypto";
import { writeFileDurably } from "@biplane/kit/files";
import { readCertificates } from "../../planes/data/identity/certificates.ts";
import { statePaths } from "../../planes/data/state.ts";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import type { Outcome } from "../output/print.ts";
import { predicateType, type Statement, seal } from "./envelope.ts";
import { pageOf } from "./page.ts";

export async function writeReport(
  subject: Subject,
  outcome: Outcome,
  register: readonly Claim[],
  { path, startedMs }: { readonly path: string; readonly startedMs: number },
): Promise<string[]> {
  const { org, cluster, router } = subject.connection.profile;
  const predicate = {
    ...{ org, cluster, router },
    startedAt: new Date(startedMs).toISOString(),
    endedAt: new Date().toISOString(),
    claims: outcome.claims.map(({ evidence, ...one }) => ({
      ...one,
      text: textOf(one.id, register),
      evidence: [...evidence],
    })),
    controls: outcome.controls.map(({ evidence, ...one }) => ({ ...one, evidence: [...evidence] })),
  };
  const subjects = Object.values(subject.planes).map(({ program }) => ({
    name: basename(program),
    digest: { sha256: sha256(program) },
  }));
  const statement: Statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: subjects,
    predicateType,
    predicate,
  };
  const { signer, chainPem } = await evidenceSigner(subject);
  const envelope = seal(statement, signer, chainPem);
  const name = path.replace(/\.(json|html)$/, "");
  await writeFileDurably(`${name}.json`, `${JSON.stringify(envelope, undefined, 2)}\n`, 0o644);
  await writeFileDurably(`${name}.html`, pageOf(envelope, statement), 0o644);
  return [`${name}.json`, `${name}.html`];
}

/** A key of this evidence alone, certified by the cluster's intermediate for documents of the cluster. */
async function evidenceSigner({ connection, planes }: Subject) {
  const { org, cluster } = connection.profile;
  const paths = statePaths(planes.data.state);
  const certificates = await readCertificates(paths.certificates, await readKeyFile(paths.systemKey));
  if (certificates === undefined)
    throw new BiplaneError("failed_precondition", "The cluster has no certificates.");
  const { intermediate, root } = certificates;
  const uri = clusterUri(org, cluster);
  // A day: no later evidence can be signed with it, whoever finds it.
  const signer = await issueDocumentSigner(intermediate, { commonName: "evidence", uri, lifetimeMs: day });
  const chainPem = [signer, intermediate, root].map(({ certificatePem }) => certificatePem.trim()).join("\n");
  return { signer, chainPem };
}

function textOf(id: string, register: readonly Claim[]): string {
  return register.find((claim) => claim.id === id)?.text ?? "";
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
