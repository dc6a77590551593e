/**
 * The certificates of one cluster: the organization's root, which clients believe alone, and this cluster's
 * intermediate below it, which signs what router, authority and object server show. The intermediate's key is made here.
 */
import { X509Certificate } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import { day } from "@biplane/base";
import { createCertificateRequest, issueCertificate } from "@biplane/kit/certificates";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { serverTlsOptions, type TlsIdentity } from "@biplane/kit/tls";

export interface OrganizationCertificates {
  readonly root: Pick<TlsIdentity, "certificatePem">;
  readonly intermediate: TlsIdentity;
  /** Where the root took another one's place. */
  readonly predecessor?: Predecessor | undefined;
}

export interface Predecessor {
  readonly rootPem: string;
  /** Its word for the present root. */
  readonly crossPem: string;
  /** Servers no longer show its word: who knows the root before alone is not led on any more. */
  readonly isOver: boolean;
}

/** Signs a request for this cluster's intermediate: the root itself at home, the authority elsewhere. PEM. */
export type SignIntermediate = (requestDer: Uint8Array) => Promise<string>;

const place = "organization certificates";
const renewBeforeMs = 180 * day;
const leafMs = 30 * day;

/** Undefined where the organization has none yet. */
export async function readCertificates(
  path: string,
  key: Key,
): Promise<OrganizationCertificates | undefined> {
  const sealed = await readFileIfAny(path);
  if (sealed === undefined) return undefined;
  const bytes = openRecord(deriveKey(key, place), place, new Uint8Array(sealed));
  return JSON.parse(new TextDecoder().decode(bytes)) as OrganizationCertificates;
}

/** A new intermediate below the same root where the present one has less than half a year left. */
export async function renewIntermediate(
  path: string,
  key: Key,
  certificates: OrganizationCertificates,
  signIntermediate: SignIntermediate,
  nowMs: number,
): Promise<OrganizationCertificates> {
  const { validToDate } = new X509Certificate(certificates.intermediate.certificatePem);
  if (validToDate.getTime() - nowMs > renewBeforeMs) return certificates;
  const { root, predecessor } = certificates;
  return createCertificates(path, key, root.certificatePem, signIntermediate, predecessor);
}

export async function createCertificates(
  path: string,
  key: Key,
  rootPem: string,
  signIntermediate: SignIntermediate,
  predecessor?: Predecessor,
): Promise<OrganizationCertificates> {
  const { requestDer, privateKeyPem } = await createCertificateRequest("biplane");
  const certificatePem = await signIntermediate(requestDer);
  const certificates = {
    root: { certificatePem: rootPem },
    intermediate: { certificatePem, privateKeyPem },
    ...(predecessor && { predecessor }),
  };
  await writeCertificates(path, key, certificates);
  return certificates;
}

export async function writeCertificates(
  path: string,
  key: Key,
  certificates: OrganizationCertificates,
): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(certificates));
  await writeFileDurably(path, sealRecord(deriveKey(key, place), place, bytes));
}

/** The certificates that a running plane goes by now. */
export class OwnCertificates {
  readonly #path: string;
  readonly #key: Key;
  #present: OrganizationCertificates;
  readonly #listeners: ((next: OwnCertificates) => Promise<void>)[] = [];

  constructor(path: string, key: Key, present: OrganizationCertificates) {
    this.#path = path;
    this.#key = key;
    this.#present = present;
  }

  get present(): OrganizationCertificates {
    return this.#present;
  }

  get rootPem(): string {
    return this.#present.root.certificatePem;
  }

  /** With the word of the root before: documents reach those who know that one alone. */
  get intermediate(): TlsIdentity {
    return withCross(this.#present);
  }

  /** What servers' certificates are issued under, and shown with. */
  get served(): TlsIdentity {
    const { intermediate, predecessor } = this.#present;
    return predecessor?.isOver === false ? withCross(this.#present) : intermediate;
  }

  /** Told before they are believed here. */
  onChange(listener: (next: OwnCertificates) => Promise<void>): void {
    this.#listeners.push(listener);
  }

  /** On disk first, then shown by the servers, and only then believed here: what they show is good for both roots. */
  async replace(next: OrganizationCertificates): Promise<void> {
    await writeCertificates(this.#path, this.#key, next);
    const changed = new OwnCertificates(this.#path, this.#key, next);
    for (const tell of this.#listeners) await tell(changed);
    this.#present = next;
  }
}

function withCross({ intermediate, predecessor }: OrganizationCertificates): TlsIdentity {
  if (predecessor === undefined) return intermediate;
  const { certificatePem, privateKeyPem } = intermediate;
  return { certificatePem: `${certificatePem.trim()}\n${predecessor.crossPem}`, privateKeyPem };
}

interface Rotating {
  setSecureContext(options: SecureContextOptions): void;
}

/** What the plane's servers show; renewed by itself long before it expires. */
export class ServingCertificate {
  #authority: TlsIdentity;
  readonly #hosts: readonly string[];
  readonly #lifetimeMs: number;
  readonly #servers = new Set<Rotating>();
  #identity: TlsIdentity;
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    authority: TlsIdentity,
    hosts: readonly string[],
    identity: TlsIdentity,
    lifetimeMs: number,
  ) {
    this.#authority = authority;
    this.#lifetimeMs = lifetimeMs;
    this.#hosts = hosts;
    this.#identity = identity;
  }

  static async issue(
    authority: TlsIdentity,
    hosts: readonly string[],
    lifetimeMs = leafMs,
  ): Promise<ServingCertificate> {
    const identity = await issueLeaf(authority, hosts, lifetimeMs);
    const serving = new ServingCertificate(authority, hosts, identity, lifetimeMs);
    const renew = () => void serving.renew();
    serving.#timer = setInterval(renew, Math.min(day, (lifetimeMs * 2) / 3)).unref();
    return serving;
  }

  get identity(): TlsIdentity {
    return this.#identity;
  }

  /** Servers that live as long as the plane get each new certificate. */
  keepFresh<S extends Rotating>(server: S): S {
    this.#servers.add(server);
    return server;
  }

  async renew(): Promise<void> {
    this.#identity = await issueLeaf(this.#authority, this.#hosts, this.#lifetimeMs);
    // All of the options: what is left out would go back to what Node takes by default, weaker suites included.
    const options = serverTlsOptions({ identity: this.#identity });
    for (const server of this.#servers) server.setSecureContext(options);
  }

  /** From now on below another intermediate. */
  async renewUnder(authority: TlsIdentity): Promise<void> {
    this.#authority = authority;
    await this.renew();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
  }
}

async function issueLeaf(
  authority: TlsIdentity,
  hosts: readonly string[],
  lifetimeMs: number,
): Promise<TlsIdentity> {
  const leaf = await issueCertificate(authority, {
    commonName: hosts[0] ?? "biplane",
    hosts,
    uses: ["server"],
    lifetimeMs,
  });
  return { ...leaf, certificatePem: `${leaf.certificatePem.trim()}\n${authority.certificatePem}` };
}
