/**
 * Certificates that somebody may show at link and tunnel in place of a cluster's own. Those of the provider are made with
 * its root's key, which verify's own planes have: what even the provider's signature must not open.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { hour } from "@biplane/base";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import type { TlsIdentity } from "@biplane/kit/tls";
import { type Enrollment, readEnrollment } from "../../planes/data/link/index.ts";
import { statePaths } from "../../planes/data/state.ts";

export async function enrollmentOf(dataState: string): Promise<Enrollment> {
  const enrollment = await readEnrollment(statePaths(dataState).link);
  if (enrollment === undefined) throw new Error(`${dataState} is not enrolled.`);
  return enrollment;
}

/** Of an authority that took the provider's name, for the cluster's own names. */
export async function forgedIdentity(cluster: Enrollment): Promise<TlsIdentity> {
  return issueClient(await createRootAuthority("Biplane provider", hour), cluster, hour);
}

/** Of the provider itself, for the cluster's own names, as the provider never gave it to anyone. */
export async function providerIdentity(
  controlState: string,
  cluster: Enrollment,
  lifetimeMs: number,
): Promise<TlsIdentity> {
  const [certificatePem, privateKeyPem] = await Promise.all(
    ["provider-root.pem", "provider-root.key"].map((name) => readFile(join(controlState, name), "utf8")),
  );
  const provider = { certificatePem: certificatePem!, privateKeyPem: privateKeyPem! };
  return issueClient(provider, cluster, lifetimeMs);
}

function issueClient(issuer: TlsIdentity, { org, cluster }: Enrollment, lifetimeMs: number) {
  const hosts = [
    `${cluster}.${org}.cluster.biplane.internal`,
    ...["router", "authority", "objects"].map((name) => `${name}.${cluster}.${org}.tunnel.biplane.internal`),
  ];
  return issueCertificate(issuer, { commonName: `${cluster}.${org}`, hosts, uses: ["client"], lifetimeMs });
}
