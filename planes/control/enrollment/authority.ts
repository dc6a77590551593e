/**
 * The provider's authority: it signs the control plane's and the edge's server certificates and the clusters' client
 * certificates. It vouches for nothing that customers' clients believe: those pin their organization's own root.
 */
import { join } from "node:path";
import { BiplaneError, day } from "@biplane/base";
import {
  createRootAuthority,
  issueCertificate,
  readFileIfAny,
  signCertificateRequest,
  type TlsIdentity,
  writeFileDurably,
} from "@biplane/kit";
import { clusterHost } from "../clusters/peer.ts";

const rootLifetimeMs = 3_650 * day;
const serverLifetimeMs = 90 * day;
const clusterCertificateMs = 30 * day;

/** Services that a cluster lets be reached through the edge, each under a name in its certificate. */
const tunnelledServices = ["router", "authority", "objects"] as const;

export interface ProviderAuthority {
  readonly rootPem: string;
  issueServer(commonName: string, hosts: readonly string[]): Promise<TlsIdentity>;
  /** Signs a cluster's request under names that are decided here. PEM. */
  signCluster(request: Uint8Array, org: string, cluster: string, hosts: readonly string[]): Promise<string>;
}

export async function openProviderAuthority(
  folder: string,
  clusterLifetimeMs = clusterCertificateMs,
): Promise<ProviderAuthority> {
  const root = await readOrCreateRoot(folder);
  return {
    rootPem: root.certificatePem,
    issueServer: (commonName, hosts) =>
      issueCertificate(root, { commonName, hosts, uses: ["server"], lifetimeMs: serverLifetimeMs }),
    signCluster: async (request, org, cluster, hosts) => {
      const options = {
        commonName: `${cluster}.${org}`,
        hosts: [clusterHost(org, cluster), ...tunnelNames(org, cluster), ...hosts],
        uses: ["client"] as const,
        lifetimeMs: clusterLifetimeMs,
      };
      try {
        return await signCertificateRequest(root, request, options);
      } catch (cause) {
        throw new BiplaneError("invalid_argument", "The certificate request can't be read.", { cause });
      }
    },
  };
}

function tunnelNames(org: string, cluster: string): string[] {
  return tunnelledServices.map((service) => `${service}.${cluster}.${org}.tunnel.biplane.internal`);
}

async function readOrCreateRoot(folder: string): Promise<TlsIdentity> {
  const [certificatePath, keyPath] = [join(folder, "provider-root.pem"), join(folder, "provider-root.key")];
  const [certificate, key] = await Promise.all([readFileIfAny(certificatePath), readFileIfAny(keyPath)]);
  if (certificate !== undefined && key !== undefined) {
    return { certificatePem: certificate.toString("utf8"), privateKeyPem: key.toString("utf8") };
  }
  if (certificate !== undefined) throw keyMissing(keyPath);
  const root = await createRootAuthority("Biplane provider", rootLifetimeMs);
  // The key first: a certificate without its key would name a root that nobody can use.
  await writeFileDurably(keyPath, root.privateKeyPem);
  await writeFileDurably(certificatePath, root.certificatePem);
  return root;
}

function keyMissing(path: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `The key of the provider's root is missing: ${path}.`,
    why: "Enrolled clusters believe this root alone.",
    next: "Put the file back from your backup.",
  });
}
