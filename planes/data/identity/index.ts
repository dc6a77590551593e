/** Identity of the organization, put together: directory, provider, tokens, authenticator, the authority's server. */
import type { IncomingMessage } from "node:http";
import type { Server } from "node:https";
import { join } from "node:path";
import { type ClusterId, day, limits, minute, type OrgId } from "@biplane/base";
import type { AuditLog, RefusalRecorder } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";
import type { Key } from "@biplane/kit/crypto";
import type { Database } from "@biplane/kit/database";
import type { Logger } from "@biplane/kit/logging";
import type { TlsIdentity } from "@biplane/kit/tls";
import { ClusterDirectory } from "../clusters/cluster-directory.ts";
import { Members } from "../clusters/members.ts";
import { homeEntry } from "../clusters/own-entry.ts";
import { Documents } from "../documents/documents.ts";
import { PolicyAdministration } from "../policy/administration.ts";
import { Policy, type PolicyTransaction } from "../policy/policy.ts";
import type { DataSchema } from "../store/schema.ts";
import { ApiKeys, LastUses } from "./api-keys.ts";
import { AddressBudget, AttemptLimiter } from "./attempts.ts";
import { createIdentityAudit } from "./audit.ts";
import { RouterAuthenticator, type VerifyingKeys } from "./authenticator.ts";
import { createAuthorityServer } from "./authority.ts";
import type { OwnCertificates } from "./certificates.ts";
import { Claims } from "./claims.ts";
import { Directory } from "./directory.ts";
import { DocumentSigner } from "./document-signer.ts";
import { Federation } from "./federation.ts";
import { type FederationConfig, federationPath, readFederation } from "./federation-config.ts";
import { deleteExpired } from "./oidc-adapter.ts";
import { PasswordSignIn } from "./password-sign-in.ts";
import { People } from "./people.ts";
import { createProvider } from "./provider.ts";
import { Revocations, readDenials } from "./revocations.ts";
import type { OrganizationRoot } from "./root.ts";
import { createSealing, type Sealing } from "./sealing.ts";
import { SignIns } from "./sign-ins.ts";
import { openSigningKeys, type SigningKeys, signingKeysPath } from "./signing-keys.ts";
import { SubjectGroups } from "./subject-groups.ts";
import { ClusterTokens } from "./tokens.ts";

export interface IdentityOptions {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly folder: string;
  readonly systemKey: Key;
  readonly database: Database<DataSchema>;
  readonly audit: AuditLog;
  readonly refusals: Pick<RefusalRecorder, "record">;
  /** Whether this cluster hosts the authority. */
  readonly isHome: boolean;
  readonly region: string;
  /** Root and intermediate as they are now. The intermediate certifies the key of documents. */
  readonly certificates: Pick<OwnCertificates, "rootPem" | "intermediate" | "present">;
  /** The home cluster's; read for each signature. */
  readonly readRoot: () => Promise<OrganizationRoot>;
  readonly documentMs: number;
  /** Addresses as clients dial them, `https://host:port`. */
  readonly authority: string;
  readonly router: string;
  readonly objects: string;
  readonly addressFrom: "edge" | "peer";
  /** Shorter than usual: rights that were taken away end sooner where nobody hears of it. */
  readonly accessTokenMs?: number | undefined;
  readonly taskTokenMs?: number | undefined;
  /** PEM, believed besides the system's authorities when the customer's own provider is asked. */
  readonly extraAuthorityPem?: string | undefined;
  /** Told of the addresses that the customer's own provider names, before any of them is used. */
  readonly onEndpoints?: (urls: readonly (string | undefined)[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Identity {
  readonly keys: SigningKeys;
  readonly sealing: Sealing;
  readonly documents: Documents;
  readonly clusters: ClusterDirectory;
  readonly members: Members;
  readonly policy: Policy;
  readonly rules: PolicyAdministration;
  readonly claims: Claims;
  readonly directory: Directory;
  readonly people: People;
  readonly apiKeys: ApiKeys;
  readonly signIns: SignIns;
  readonly revocations: Revocations;
  readonly groups: SubjectGroups;
  readonly tokens: ClusterTokens;
  readonly authenticator: RouterAuthenticator;
  createServer(tls: TlsIdentity): Server;
  /** Writes when keys were last used; done every half minute and at the end. */
  flushUses(): Promise<void>;
  close(): Promise<void>;
}

/** Device codes have 34 bits and live for ten minutes, other codes have 192: twenty guesses find nothing. */
const wrongCodesMax = 20;
/** Of one address in a quarter of an hour: a large office behind one address, and no flood. */
const beginningsMax = 1_000;
const cleaningMs = 10 * minute;

export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { org, database, clock } = options;
  const keys = await openSigningKeys(signingKeysPath(options.folder), options.systemKey, clock);
  const sealing = createSealing(org, options.systemKey);
  const directory = new Directory(org, database, sealing, clock);
  const claims = new Claims({ org, database, sealing, directory, clock });
  const documents = await openDocuments(options, sealing);
  const clusters = new ClusterDirectory({
    cluster: options.cluster,
    documents,
    authority: options.authority,
  });
  const members = openMembers(options, { keys, sealing, documents });
  const denials = (transaction: PolicyTransaction) => readDenials(transaction, org, clock.now());
  const policy = new Policy({ org, database, documents, denials });
  const revocations = new Revocations(org, policy, sealing, clock);
  const signIns = new SignIns({ org, directory, revocations, policy, sealing, clock });
  const rules = new PolicyAdministration({ org, policy, clock, read: (work) => directory.run(work) });
  const people = new People({ org, directory, signIns, revocations, policy, sealing, clock });
  const apiKeys = new ApiKeys({ org, directory, revocations, policy, clock });
  const groups = new SubjectGroups(org, database, sealing);
  await groups.load();
  await policy.reload();
  if (options.isHome) await members.publish();
  await deleteExpired({ org, database, clock });
  const stores = {
    ...{ keys, sealing, documents, clusters, members, policy, rules, claims, directory },
    ...{ people, apiKeys, signIns, revocations, groups },
  };
  const federation = options.isHome ? await readFederation(federationPath(options.folder)) : undefined;
  return serveIdentity({ ...options, federation }, stores);
}

interface ServedOptions extends IdentityOptions {
  readonly federation: FederationConfig | undefined;
}

type IdentityStores = Omit<Identity, "tokens" | "authenticator" | "createServer" | "flushUses" | "close">;

function serveIdentity(options: ServedOptions, stores: IdentityStores): Identity {
  const { org, cluster, clock, log, taskTokenMs } = options;
  const { keys, directory, policy, groups, clusters } = stores;
  const tokens = new ClusterTokens({ org, cluster, keys, policy, groups, clock, taskTokenMs });
  const uses = new LastUses(directory, clock, log);
  const onUse = (subject: string) => uses.note(subject);
  const known = {
    ...{ org, cluster, policy, tokens, clock },
    authority: () => clusters.authority,
    keys: verifyingKeys(options, stores),
  };
  const rotating = rotateKeys(options, keys);
  const cleaning = keepClean(options, stores);
  return {
    ...stores,
    tokens,
    authenticator: new RouterAuthenticator({ ...known, groups, onUse }),
    createServer: (tls) => createServer(options, stores, tls),
    flushUses: () => uses.flush(),
    close: () => {
      clearInterval(rotating);
      clearInterval(cleaning);
      return uses.close();
    },
  };
}

async function openDocuments(options: IdentityOptions, sealing: Sealing): Promise<Documents> {
  const { org, systemKey, certificates, clock, database, audit, documentMs, log } = options;
  const path = join(options.folder, "document-key.sealed");
  const signing = {
    ...{ path, systemKey, org, clock },
    get intermediate() {
      return certificates.intermediate;
    },
  };
  return Documents.open({
    org,
    get rootPem() {
      return certificates.rootPem;
    },
    get predecessorPem() {
      return certificates.present.predecessor?.rootPem;
    },
    database,
    sealing,
    audit,
    refusals: options.refusals,
    signer: options.isHome ? await DocumentSigner.open(signing) : undefined,
    lifetimeMs: documentMs,
    clock,
    log,
  });
}

function openMembers(
  options: IdentityOptions,
  stores: { keys: SigningKeys; sealing: Sealing; documents: Documents },
): Members {
  const { org, cluster, database, certificates, readRoot, clock, log } = options;
  const { keys, sealing, documents } = stores;
  const own = () => homeEntry(options, certificates.intermediate.certificatePem, keys);
  const members = new Members({
    ...{ org, cluster, database, sealing, documents, own, readRoot, clock },
    get rootPem() {
      return certificates.rootPem;
    },
    get predecessor() {
      return certificates.present.predecessor;
    },
  });
  if (options.isHome) {
    documents.onLostClusters((list) => members.adopt(list));
    keys.onRotation(() => {
      members.publish().catch((error: unknown) => {
        log.error({ event: "list_not_signed", error }, "the list of clusters lacks the newest keys");
      });
    });
  }
  return members;
}

/** Whose signature a token may bear: the authority's as the signed list names it, a task's as this cluster made it. */
function verifyingKeys({ isHome }: IdentityOptions, { keys, clusters }: IdentityStores): VerifyingKeys {
  return {
    find: (use, kid) =>
      use === "authority" && !isHome ? clusters.authorityKey(kid) : keys.find(use, kid)?.publicKey,
  };
}

function federationOf(options: ServedOptions, directory: Directory): Federation | undefined {
  const { federation: config, authority, extraAuthorityPem, onEndpoints, clock } = options;
  if (config === undefined) return undefined;
  return new Federation({
    config,
    authority,
    extraAuthorityPem,
    directory,
    clock,
    ...(onEndpoints && { onEndpoints }),
  });
}

function createServer(options: ServedOptions, stores: IdentityStores, tls: TlsIdentity): Server {
  const { org, authority: issuer, router, database, clock, log } = options;
  const { keys, sealing, directory, people, claims, policy, revocations, documents, clusters } = stores;
  const routers = () => [...new Set([router, ...clusters.all.map((cluster) => cluster.router)])];
  const accessTokenMs = Math.min(options.accessTokenMs ?? limits.accessTokenMs, limits.accessTokenMs);
  const audit = createIdentityAudit(options.audit, options.refusals, org, options.addressFrom, clock);
  const limiter = new AttemptLimiter(clock);
  const signIn = new PasswordSignIn(directory, limiter, sealing);
  const budget = (what: string, countMax: number) => new AddressBudget(limiter, what, countMax);
  const guesses = budget("device code", wrongCodesMax);
  const onWrongDeviceCode = async (request: IncomingMessage) => {
    guesses.count(request);
    await audit("DEVICE_CODE_REFUSED", "refused", { reason: "wrong_code" }, request);
  };
  const stored = { org, database, sealing, directory, revocations, policy, clock };
  return createAuthorityServer({
    tls,
    issuer,
    claim: {
      ...{ org, claims, audit, guesses: budget("claim", wrongCodesMax) },
      onRedeemed: () => policy.reload(),
    },
    passwords: { people, signIn, audit, guesses: budget("invitation", wrongCodesMax) },
    interactions: { signIn, audit, federation: federationOf(options, directory) },
    guesses,
    beginnings: budget("sign-in", beginningsMax),
    createProvider: () =>
      createProvider({ ...stored, issuer, routers: routers(), keys, accessTokenMs, onWrongDeviceCode }),
    onChange: (renew) => {
      keys.onRotation(renew);
      onOtherRouters(documents, routers, renew);
    },
    log,
  });
}

/** Sign-ins that nobody finished would pile up. */
function keepClean(options: ServedOptions, stores: IdentityStores): NodeJS.Timeout {
  const parts = { ...options, ...stores };
  const report = (error: unknown) =>
    options.log.error({ event: "cleaning_failed", error }, "expired sign-ins could not be deleted");
  return setInterval(() => void deleteExpired(parts).catch(report), cleaningMs).unref();
}

/** The provider knows where each router's pages send people back to. */
function onOtherRouters(documents: Documents, routers: () => readonly string[], renew: () => void): void {
  let known = routers().join(" ");
  documents.onIssued((kind) => {
    if (kind !== "clusters" || routers().join(" ") === known) return;
    known = routers().join(" ");
    renew();
  });
}

/** Looks daily, and once at the start. */
function rotateKeys({ audit, org, clock, log }: IdentityOptions, keys: SigningKeys): NodeJS.Timeout {
  const look = async () => {
    if (!(await keys.rotateIfDue())) return;
    await audit.record({
      ...{ atMs: clock.now(), code: "SIGNING_KEYS_ROTATED", decision: "allowed", subject: "", method: "" },
      ...{ org, requestId: "", address: "", addressFrom: "none", reason: "schedule" },
    });
  };
  const report = (error: unknown) =>
    log.error({ event: "rotation_failed", error }, "the signing keys could not be rotated");
  void look().catch(report);
  return setInterval(() => void look().catch(report), day).unref();
}
