/**
 * The organization's root key, which everything that anybody believes of the organization hangs on. It signs
 * intermediates, and once the root that takes its place: there is no method for anything else, and the key leaves this
 * file in a sealed file of the home cluster and in an encrypted backup only.
 */
import { X509Certificate } from "node:crypto";
import { BiplaneError, day } from "@biplane/base";
import { authorityUri, clusterUri, rootUriPrefix } from "@biplane/identity";
import { createRootAuthority, crossCertify, signIntermediateRequest } from "@biplane/kit/certificates";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { rootVersion } from "@biplane/kit/root-succession";
import type { TlsIdentity } from "@biplane/kit/tls";
import { z } from "zod";

const place = "organization root";
const nextPlace = "next organization root";
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

export interface NextRoot {
  readonly root: OrganizationRoot;
  /** The word of the root before for it. */
  readonly crossPem: string;
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
    return new OrganizationRoot(await createRoot(org, 1));
  }

  /** A new root and this one's word for it. Throws `failed_precondition` for a root that can't give one. */
  async succeed(org: string): Promise<NextRoot> {
    const version = this.version(org) + 1;
    if (version === 1) throw tooOld();
    const identity = await createRoot(org, version);
    // As the authority's, so that documents lead through it as through an intermediate of the home cluster.
    const uris = [authorityUri(org), rootUri(org, version)];
    const crossPem = await crossCertify(this.#identity, identity.certificatePem, uris);
    return { root: new OrganizationRoot(identity), crossPem };
  }

  /** Grows by one with each root of the organization. */
  version(org: string): number {
    return rootVersion(new X509Certificate(this.certificatePem), rootUriPrefix(org));
  }

  /** From a backup. Throws `data_loss` for a certificate that is no root. */
  static import(content: unknown): OrganizationRoot {
    const parsed = schema.safeParse(content);
    if (parsed.success && new X509Certificate(parsed.data.certificatePem).ca) {
      return new OrganizationRoot(parsed.data);
    }
    throw new BiplaneError("data_loss", "The organization's root can't be read.");
  }

  /** As `read`, with the word of the root before. */
  static async readNext(path: string, key: Key): Promise<NextRoot | undefined> {
    const sealed = await readFileIfAny(path);
    if (sealed === undefined) return undefined;
    const bytes = openRecord(deriveKey(key, nextPlace), nextPlace, new Uint8Array(sealed));
    const { root, crossPem } = JSON.parse(new TextDecoder().decode(bytes)) as {
      root: unknown;
      crossPem: string;
    };
    return { root: OrganizationRoot.import(root), crossPem };
  }

  static async writeNext(path: string, key: Key, { root, crossPem }: NextRoot): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify({ root: root.#identity, crossPem }));
    await writeFileDurably(path, sealRecord(deriveKey(key, nextPlace), nextPlace, bytes));
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

/** Two authorities may be below it: the root that follows it, and that one's intermediates. */
function createRoot(org: string, version: number): Promise<TlsIdentity> {
  const name = version === 1 ? `Biplane root of ${org}` : `Biplane root ${version} of ${org}`;
  return createRootAuthority(name, rootMs, 2, [rootUri(org, version)]);
}

function rootUri(org: string, version: number): string {
  return `${rootUriPrefix(org)}${version}`;
}

function tooOld(): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "This root can't be replaced.",
    why: "It was made by a version of Biplane whose roots have no number, and may not sign for another root.",
    next: "Make the organization again with `biplane data init`, and let its clusters join.",
  });
}

function titleOf({ org, cluster }: ClusterName): string {
  return `Biplane cluster ${cluster} of ${org}`;
}
