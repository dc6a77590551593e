/** Identity of the organization, put together: directory, provider, tokens, authenticator, the authority's server. */
import type { Server } from "node:https";
import { join } from "node:path";
import type { ClusterId, OrgId } from "@biplane/base";
import type { AuditLog } from "@biplane/kit/audit-log";
import type { Clock } from "@biplane/kit/clock";
import type { Key } from "@biplane/kit/crypto";
import type { Database } from "@biplane/kit/database";
import type { Logger } from "@biplane/kit/logging";
import type { TlsIdentity } from "@biplane/kit/tls";
import { Documents } from "../documents/documents.ts";
import { Policy, type PolicyTransaction } from "../policy/policy.ts";
import type { DataSchema } from "../store/schema.ts";
import { AttemptLimiter } from "./attempts.ts";
import { createIdentityAudit } from "./audit.ts";
import { RouterAuthenticator } from "./authenticator.ts";
import { createAuthorityServer } from "./authority.ts";
import { Claims } from "./claims.ts";
import { Directory } from "./directory.ts";
import { DocumentSigner } from "./document-signer.ts";
import { deleteExpired } from "./oidc-adapter.ts";
import { createProvider } from "./provider.ts";
import { Revocations, readDenials } from "./revocations.ts";
import { createSealing, type Sealing } from "./sealing.ts";
import { openSigningKeys, type SigningKeys } from "./signing-keys.ts";
import { ClusterTokens } from "./tokens.ts";

export interface IdentityOptions {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly folder: string;
  readonly systemKey: Key;
  readonly database: Database<DataSchema>;
  readonly audit: AuditLog;
  readonly rootPem: string;
  /** This cluster's own, which certifies the key of documents. */
  readonly intermediate: TlsIdentity;
  readonly documentMs: number;
  /** Addresses as clients dial them, `https://host:port`. */
  readonly authority: string;
  readonly router: string;
  readonly addressFrom: "edge" | "peer";
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Identity {
  readonly keys: SigningKeys;
  readonly sealing: Sealing;
  readonly documents: Documents;
  readonly policy: Policy;
  readonly claims: Claims;
  readonly directory: Directory;
  readonly tokens: ClusterTokens;
  readonly authenticator: RouterAuthenticator;
  createServer(tls: TlsIdentity): Server;
}

export function signingKeysPath(folder: string): string {
  return join(folder, "signing-keys.sealed");
}

export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { org, cluster, database, clock, log } = options;
  const keys = await openSigningKeys(signingKeysPath(options.folder), options.systemKey);
  const sealing = createSealing(org, options.systemKey);
  const directory = new Directory(org, database, sealing, clock);
  const claims = new Claims({ org, database, sealing, directory, clock });
  const documents = await openDocuments(options, sealing);
  const denials = (transaction: PolicyTransaction) => readDenials(transaction, org);
  const policy = new Policy({ org, database, documents, denials });
  const revocations = new Revocations(org, policy, sealing, clock);
  const tokens = new ClusterTokens({ org, cluster, keys, clock });
  const { authority, router } = options;
  const authenticator = new RouterAuthenticator({
    org,
    cluster,
    authority,
    keys,
    policy,
    tokens,
    clock,
  });
  const stored = { org, database, sealing, directory, revocations, clock };
  await policy.reload();
  await deleteExpired(stored);
  return {
    keys,
    sealing,
    documents,
    policy,
    claims,
    directory,
    tokens,
    authenticator,
    createServer: (tls) => {
      const provider = createProvider({ ...stored, issuer: authority, router, keys });
      const audit = createIdentityAudit(options.audit, org, options.addressFrom, clock);
      const limiter = new AttemptLimiter(clock);
      return createAuthorityServer({
        tls,
        issuer: authority,
        claim: { org, claims, audit, onRedeemed: () => policy.reload() },
        interactions: { provider, directory, limiter, audit },
        log,
      });
    },
  };
}

async function openDocuments(options: IdentityOptions, sealing: Sealing): Promise<Documents> {
  const { org, systemKey, intermediate, clock, rootPem, database, audit, documentMs, log } = options;
  const path = join(options.folder, "document-key.sealed");
  const signer = await DocumentSigner.open({ path, systemKey, org, intermediate, clock });
  return Documents.open({
    org,
    rootPem,
    database,
    sealing,
    audit,
    signer,
    lifetimeMs: documentMs,
    clock,
    log,
  });
}
