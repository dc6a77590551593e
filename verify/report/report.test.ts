/** Evidence reports: genuine ones open offline, changed ones are refused, in both forms. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { day } from "@biplane/base";
import { clusterUri } from "@biplane/identity";
import { createRootAuthority, fingerprint, issueDocumentSigner } from "@biplane/kit/certificates";
import { afterAll, expect, test } from "vitest";
import { createIntermediate } from "../hostile-control-plane/intermediate.ts";
import { checkReport } from "./check.ts";
import { type Envelope, predicateType, type Statement, seal } from "./envelope.ts";
import { pageOf } from "./page.ts";

const folder = mkdtempSync(join(tmpdir(), "biplane-report-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const now = new Date().toISOString();
const statement: Statement = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "data.mjs", digest: { sha256: "00" } }],
  predicateType,
  predicate: {
    ...{ org: "acme", cluster: "home", router: "https://localhost:8443", startedAt: now, endedAt: now },
    claims: [
      {
        id: "NET-1",
        text: "No <inbound> port.",
        status: "fail",
        reason: "8080 listens.",
        evidence: ["looked"],
      },
    ],
    controls: [],
  },
};

async function signed(uri = clusterUri("acme", "home")): Promise<{ envelope: Envelope; root: string }> {
  const root = await createRootAuthority("Root", day);
  const intermediate = await createIntermediate(root, "home", day, [clusterUri("acme", "home")]);
  const signer = await issueDocumentSigner(intermediate, { commonName: "evidence", uri, lifetimeMs: day });
  const chain = [signer, intermediate, root].map(({ certificatePem }) => certificatePem.trim()).join("\n");
  return { envelope: seal(statement, signer, chain), root: fingerprint(root.certificatePem) };
}

function file(content: string | object): string {
  const path = join(folder, `${Math.trunc(performance.now() * 1_000)}.report`);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

test("a genuine report opens in both forms, under the root that is known", async () => {
  const { envelope, root } = await signed();
  for (const content of [envelope, pageOf(envelope, statement)]) {
    expect(await checkReport(file(content), root)).toEqual({ statement, rootFingerprint: root });
  }
  await expect(checkReport(file(envelope), "ab".repeat(32))).rejects.toThrow(/not under abab/);
});

test("a changed result is refused, whoever signs it again", async () => {
  const { envelope } = await signed();
  const text = Buffer.from(envelope.payload, "base64").toString().replace('"fail"', '"pass"');
  const changed = { ...envelope, payload: Buffer.from(text).toString("base64") };
  await expect(checkReport(file(changed), undefined)).rejects.toThrow(/changed after it was signed/);
  const other = await signed();
  const { root } = await signed();
  await expect(checkReport(file(other.envelope), root)).rejects.toThrow(/and not under/);
});

test("a page whose text says other things than what was signed is refused", async () => {
  const { envelope, root } = await signed();
  const page = pageOf(envelope, statement);
  expect(page).toContain("No &lt;inbound&gt; port.");
  const changed = page.replace('<span class="bad">fails</span>', '<span class="good">holds</span>');
  expect(changed).not.toBe(page);
  await expect(checkReport(file(changed), root)).rejects.toThrow(/no signed evidence report/);
});

test("a key that was certified for another cluster, and certificates that don't fit, are refused", async () => {
  const foreign = await signed(clusterUri("acme", "elsewhere"));
  await expect(checkReport(file(foreign.envelope), undefined)).rejects.toThrow(/wrong_signer/);
  const [{ envelope }, other] = [await signed(), await signed()];
  const [mixed] = envelope.signatures;
  const x5c = [mixed.x5c[0]!, mixed.x5c[1]!, other.envelope.signatures[0].x5c[2]!];
  const content = { ...envelope, signatures: [{ ...mixed, x5c }] };
  await expect(checkReport(file(content), undefined)).rejects.toThrow(/unknown_authority/);
});
