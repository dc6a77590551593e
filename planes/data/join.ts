/**
 * `biplane data join`: makes a further cluster of an organization. Its keys are made here; the home cluster signs its
 * intermediate after it has seen the code, and a control plane takes it in under the organization's root. Running it
 * again with the same folder and codes goes on where it was cut off.
 */
import { X509Certificate } from "node:crypto";
import { rm } from "node:fs/promises";
import { BiplaneError, second } from "@biplane/base";
import {
  type ClusterListContent,
  clusterUri,
  homeOf,
  type ListedCluster,
  verifyDocument,
} from "@biplane/identity";
import { createCertificateRequest, isIssuedByRoot, urisOf } from "@biplane/kit/certificates";
import { systemClock } from "@biplane/kit/clock";
import { deriveKey, type Key, openRecord, readOrCreateKeyFile, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import type { Logger } from "@biplane/kit/logging";
import { openDocument } from "@biplane/kit/signed-documents";
import { explainHome, homeCallMs, homeClient } from "./clusters/home-client.ts";
import { type JoinCode, readJoinCode } from "./clusters/join-code.ts";
import { publicKeys } from "./clusters/own-entry.ts";
import type { DataPlaneConfig } from "./config.ts";
import { enrollOnce } from "./enroll-home.ts";
import { type OrganizationCertificates, writeCertificates } from "./identity/certificates.ts";
import { openSigningKeys, signingKeysPath } from "./identity/signing-keys.ts";
import { withFolder } from "./init.ts";
import { requireFresh, writeProfileAndConfig } from "./setup.ts";
import { type StatePaths, statePaths } from "./state.ts";

export interface JoinOptions {
  readonly state: string;
  readonly code: string;
  readonly enrollCode: string;
  readonly region: string;
  /** Where the control plane may be; anywhere where there is none. */
  readonly metadataRegions?: readonly string[];
  readonly keys?: DataPlaneConfig["keys"] | undefined;
  readonly log: Logger;
}

export interface JoinResult {
  readonly config: DataPlaneConfig;
  readonly profile: string;
}

export function joinOrganization(options: JoinOptions): Promise<JoinResult> {
  const code = readJoinCode(options.code);
  return withFolder(options.state, () => joinLocked(options, code));
}

async function joinLocked(options: JoinOptions, code: JoinCode): Promise<JoinResult> {
  const paths = statePaths(options.state);
  await requireFresh(paths);
  const systemKey = await readOrCreateKeyFile(paths.systemKey);
  const { certificates, home, own } = await askHome(paths, systemKey, code, options.region);
  await writeCertificates(paths.certificates, systemKey, certificates);
  const { org, cluster, rootPem } = code;
  const { region, metadataRegions = [], enrollCode, keys, log } = options;
  await enrollOnce(paths, systemKey, certificates, {
    org,
    cluster,
    region,
    metadataRegions,
    enrollCode,
    log,
  });
  const addresses = { router: own.router, objects: own.objects, authority: home.authority!.address };
  const settings = { org, cluster, region, metadataRegions, addresses, keys, home: { router: home.router } };
  const config = await writeProfileAndConfig(paths, settings, addresses, rootPem);
  await rm(pendingPath(paths), { force: true });
  return { config, profile: paths.profile };
}

interface Joined {
  readonly certificates: OrganizationCertificates;
  readonly home: ListedCluster;
  readonly own: ListedCluster;
}

async function askHome(paths: StatePaths, systemKey: Key, code: JoinCode, region: string): Promise<Joined> {
  const { requestDer, privateKeyPem } = await pendingRequest(paths, systemKey, code.cluster);
  const keys = await openSigningKeys(signingKeysPath(paths.identity), systemKey);
  const answer = await homeClient(code.home, code.rootPem)
    .join(
      {
        secret: code.secret.reveal(),
        cluster: code.cluster,
        region,
        certificateRequest: requestDer,
        taskKeys: JSON.stringify({ keys: publicKeys(keys, "task") }),
      },
      { timeoutMs: homeCallMs },
    )
    .catch((error: unknown) => Promise.reject(explainHome(error, code.home)));
  const certificatePem = checkCertificate(answer.certificate, code);
  const { clusters } = await checkList(answer.list, code);
  const own = clusters.find(({ name }) => name === code.cluster);
  const home = homeOf({ clusters });
  if (own === undefined || home === undefined) throw unfit("Its list lacks this cluster, or itself.");
  const intermediate = { certificatePem, privateKeyPem };
  return { certificates: { root: { certificatePem: code.rootPem }, intermediate }, home, own };
}

const place = "request to join";

function pendingPath(paths: StatePaths): string {
  return `${paths.certificates}.request`;
}

/** The same request each time: the code works for it alone once it was used. */
async function pendingRequest(
  paths: StatePaths,
  systemKey: Key,
  cluster: string,
): Promise<{ requestDer: Uint8Array; privateKeyPem: string }> {
  const key = deriveKey(systemKey, place);
  const sealed = await readFileIfAny(pendingPath(paths));
  if (sealed !== undefined) {
    const { request, privateKeyPem } = JSON.parse(
      new TextDecoder().decode(openRecord(key, place, new Uint8Array(sealed))),
    ) as Record<"request" | "privateKeyPem", string>;
    return { requestDer: Buffer.from(request, "base64url"), privateKeyPem };
  }
  const made = await createCertificateRequest(cluster);
  const request = Buffer.from(made.requestDer).toString("base64url");
  const bytes = new TextEncoder().encode(JSON.stringify({ request, privateKeyPem: made.privateKeyPem }));
  await writeFileDurably(pendingPath(paths), sealRecord(key, place, bytes));
  return made;
}

function checkCertificate(der: Uint8Array, { org, cluster, rootPem }: JoinCode): string {
  const certificate = new X509Certificate(der);
  const isOurs =
    isIssuedByRoot(certificate, new X509Certificate(rootPem), systemClock.now()) &&
    urisOf(certificate).includes(clusterUri(org, cluster));
  if (!isOurs) throw unfit("Its certificate is not this cluster's, or not below the code's root.");
  return certificate.toString();
}

async function checkList(jws: string, { org, rootPem }: JoinCode): Promise<ClusterListContent> {
  const nowSeconds = Math.floor(systemClock.now() / second);
  const expected = { org, nowSeconds, held: undefined };
  const outcome = await verifyDocument(openDocument, "clusters", jws, rootPem, expected);
  if (outcome.kind === "accepted") return outcome.document.content;
  throw unfit(`Its list of clusters is not believed (${outcome.kind}).`);
}

function unfit(why: string): BiplaneError {
  return new BiplaneError("data_loss", {
    what: "The home cluster's answer can't be used.",
    why,
    next: "Compare the clocks of both clusters; if they agree, tell the organization's administrator.",
  });
}
