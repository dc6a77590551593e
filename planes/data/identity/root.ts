/**
 * The organization's root key, which everything that anybody believes of the organization hangs on. It signs
 * intermediates and nothing else: there is no method for anything else, and the key leaves this file in a sealed
 * file of the home cluster and in an encrypted backup only.
 */
import { X509Certificate } from "node:crypto";
import { BiplaneError, day } from "@biplane/base";
import { authorityUri, clusterUri } from "@biplane/identity";
import { createRootAuthority, signIntermediateRequest } from "@biplane/kit/certificates";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import type { TlsIdentity } from "@biplane/kit/tls";
import { z } from "zod";

const place = "organization root";
const rootMs = 3_650 * day;
const homeIntermediateMs = 730 * day;
/**
 * Short: programs that know the root alone, and no list of clusters, believe a cluster that was taken off the list until its
 * intermediate has ended. Long enough for a home that is away for a month.
 */
export const memberIntermediateMs = 45 * day;

const schema = z.object({ certificatePem: z.string(), privateKeyPem: z.string() });

export interface ClusterName {
  readonly org: string;
  readonly cluster: string;
}

export class OrganizationRoot {
  readonly #identity: TlsIdentity;

  private constructor(identity: TlsIdentity) {
    this.#identity = identity;
  }

  /** Undefined where this cluster does not keep the root. */
  static async read(path: string, key: Key): Promise<OrganizationRoot | undefined> {
    const sealed = await readFileIfAny(path);
    if (sealed === undefined) return undefined;
    const bytes = openRecord(deriveKey(key, place), place, new Uint8Array(sealed));
    return OrganizationRoot.import(JSON.parse(new TextDecoder().decode(bytes)));
  }

  static async create(org: string): Promise<OrganizationRoot> {
    return new OrganizationRoot(await createRootAuthority(`Biplane root of ${org}`, rootMs));
  }

  /** From a backup. Throws `data_loss` for a certificate that is no root. */
  static import(content: unknown): OrganizationRoot {
    const parsed = schema.safeParse(content);
    if (parsed.success && new X509Certificate(parsed.data.certificatePem).ca) {
      return new OrganizationRoot(parsed.data);
    }
    throw new BiplaneError("data_loss", "The organization's root can't be read.");
  }

  async write(path: string, key: Key): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(this.#identity));
    await writeFileDurably(path, sealRecord(deriveKey(key, place), place, bytes));
  }

  get certificatePem(): string {
    return this.#identity.certificatePem;
  }

  /** For the encrypted backup alone. */
  export(): TlsIdentity {
    return this.#identity;
  }

  /** The home cluster's intermediate, which signs as the organization's authority. Its certificate alone, PEM. */
  signHome(requestDer: Uint8Array, { org, cluster }: ClusterName): Promise<string> {
    return signIntermediateRequest(this.#identity, requestDer, {
      commonName: titleOf({ org, cluster }),
      lifetimeMs: homeIntermediateMs,
      uris: [authorityUri(org), clusterUri(org, cluster)],
    });
  }

  /** A joined cluster's, good for its own hosts. Its certificate alone, PEM. */
  signCluster(
    requestDer: Uint8Array,
    { org, cluster }: ClusterName,
    hosts: readonly string[],
  ): Promise<string> {
    return signIntermediateRequest(this.#identity, requestDer, {
      commonName: titleOf({ org, cluster }),
      lifetimeMs: memberIntermediateMs,
      uris: [clusterUri(org, cluster)],
      permittedHosts: hosts,
    });
  }
}

/** Throws `failed_precondition` where the root is not. */
export async function requireRoot(path: string, key: Key): Promise<OrganizationRoot> {
  const root = await OrganizationRoot.read(path, key);
  if (root !== undefined) return root;
  throw new BiplaneError("failed_precondition", {
    what: `The organization's root is missing: there is no ${path}.`,
    next: "Restore it from a backup of the root.",
  });
}

function titleOf({ org, cluster }: ClusterName): string {
  return `Biplane cluster ${cluster} of ${org}`;
}
