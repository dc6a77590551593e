/**
 * The organization's own certificates. The root signs intermediates only; the intermediate signs what router,
 * authority and object server show. Clients believe the root alone, so no provider can stand in between.
 */
import { X509Certificate } from "node:crypto";
import { day } from "@biplane/base";
import { authorityUri, clusterUri } from "@biplane/identity";
import {
  createIntermediateAuthority,
  createRootAuthority,
  issueCertificate,
} from "@biplane/kit/certificates";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import type { TlsIdentity } from "@biplane/kit/tls";

export interface OrganizationCertificates {
  readonly root: TlsIdentity;
  readonly intermediate: TlsIdentity;
}

const place = "organization certificates";
const rootMs = 3_650 * day;
const intermediateMs = 730 * day;
const renewBeforeMs = 180 * day;
const leafMs = 30 * day;

/** Undefined where the organization has none yet. */
export async function readCertificates(
  path: string,
  root: Key,
): Promise<OrganizationCertificates | undefined> {
  const sealed = await readFileIfAny(path);
  if (sealed === undefined) return undefined;
  const bytes = openRecord(deriveKey(root, place), place, new Uint8Array(sealed));
  return JSON.parse(new TextDecoder().decode(bytes)) as OrganizationCertificates;
}

/** A new intermediate below the same root where the present one has less than half a year left. */
export async function renewIntermediate(
  path: string,
  key: Key,
  certificates: OrganizationCertificates,
  names: { readonly org: string; readonly cluster: string },
  nowMs: number,
): Promise<OrganizationCertificates> {
  const { validToDate } = new X509Certificate(certificates.intermediate.certificatePem);
  if (validToDate.getTime() - nowMs > renewBeforeMs) return certificates;
  const renewed = { root: certificates.root, intermediate: await newIntermediate(certificates.root, names) };
  await writeCertificates(path, key, renewed);
  return renewed;
}

export async function createCertificates(
  path: string,
  key: Key,
  names: { readonly org: string; readonly cluster: string },
): Promise<OrganizationCertificates> {
  const root = await createRootAuthority(`Biplane root of ${names.org}`, rootMs);
  const certificates = { root, intermediate: await newIntermediate(root, names) };
  await writeCertificates(path, key, certificates);
  return certificates;
}

function newIntermediate(
  root: TlsIdentity,
  names: { readonly org: string; readonly cluster: string },
): Promise<TlsIdentity> {
  const title = `Biplane cluster ${names.cluster} of ${names.org}`;
  const uris = [authorityUri(names.org), clusterUri(names.org, names.cluster)];
  return createIntermediateAuthority(root, title, intermediateMs, uris);
}

async function writeCertificates(
  path: string,
  key: Key,
  certificates: OrganizationCertificates,
): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(certificates));
  await writeFileDurably(path, sealRecord(deriveKey(key, place), place, bytes));
}

interface Rotating {
  setSecureContext(options: { cert: string; key: string }): void;
}

/** What the plane's servers show; renewed by itself long before it expires. */
export class ServingCertificate {
  readonly #authority: TlsIdentity;
  readonly #hosts: readonly string[];
  readonly #servers = new Set<Rotating>();
  #identity: TlsIdentity;
  #timer: NodeJS.Timeout | undefined;

  private constructor(authority: TlsIdentity, hosts: readonly string[], identity: TlsIdentity) {
    this.#authority = authority;
    this.#hosts = hosts;
    this.#identity = identity;
  }

  static async issue(authority: TlsIdentity, hosts: readonly string[]): Promise<ServingCertificate> {
    const serving = new ServingCertificate(authority, hosts, await issueLeaf(authority, hosts));
    const renew = () => void serving.renew();
    serving.#timer = setInterval(renew, day).unref();
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
    this.#identity = await issueLeaf(this.#authority, this.#hosts);
    const { certificatePem: cert, privateKeyPem: key } = this.#identity;
    for (const server of this.#servers) server.setSecureContext({ cert, key });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
  }
}

async function issueLeaf(authority: TlsIdentity, hosts: readonly string[]): Promise<TlsIdentity> {
  const leaf = await issueCertificate(authority, {
    commonName: hosts[0] ?? "biplane",
    hosts,
    uses: ["server"],
    lifetimeMs: leafMs,
  });
  return { ...leaf, certificatePem: `${leaf.certificatePem.trim()}\n${authority.certificatePem}` };
}
