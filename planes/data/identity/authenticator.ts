/**
 * Who is calling? A token of the identity authority is good at the public entrance, a task token at its own sandbox's
 * entrance; each entrance knows one issuer, one key and one type of token, so that no other one can pass.
 */
import { createHash } from "node:crypto";
import {
  type AttemptId,
  BiplaneError,
  type ClusterId,
  limits,
  type OrgId,
  parseActionName,
  parseDomainId,
  parseProjectId,
  parseRunName,
  second,
} from "@biplane/base";
import { audiences, isDenied, type PolicyBundle, tokenTypes } from "@biplane/identity";
import type { Clock } from "@biplane/kit/clock";
import { type CryptoKey, type JWK, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { z } from "zod";
import type { CurrentPolicy } from "../policy/policy.ts";
import { type KeyUse, signingAlgorithm } from "./signing-keys.ts";
import type { SubjectGroups } from "./subject-groups.ts";
import { attemptKey, type ClusterTokens, clusterIssuer } from "./tokens.ts";
import type { Authenticator, Entrance, Principal } from "./types.ts";

const common = {
  sub: z.string().min(1).max(255),
  // Alone: a token for two audiences could be shown by the one to the other.
  aud: z.literal(audiences.router),
  jti: z.string().min(1),
  iat: z.number(),
  exp: z.number(),
  org: z.string(),
};
const groups = z.array(z.string().max(255)).max(1_000).optional();
const routerClaims = z.object({
  ...common,
  kind: z.enum(["user", "service"]),
  name: z.string().optional(),
  email: z.string().optional(),
  grant: z.string().optional(),
  groups,
});
const taskClaims = z.object({
  ...common,
  kind: z.literal("task"),
  project: z.string(),
  domain: z.string(),
  run: z.string(),
  action: z.string(),
  attempt: z.int().positive(),
  acting_for: z.string().min(1),
  groups,
});

/** Public keys by what their tokens are for; the one that signs where a token names none. */
export interface VerifyingKeys {
  find(use: KeyUse, kid: string | undefined): CryptoKey | JWK | undefined;
}

const verifiedMax = 10_000;
const tokenCharactersMax = 8_192;
const clockToleranceSeconds = 5;

export class RouterAuthenticator implements Authenticator {
  readonly #org: OrgId;
  readonly #keys: VerifyingKeys;
  readonly #policy: CurrentPolicy;
  readonly #tokens: ClusterTokens;
  readonly #onUse: (subject: string) => void;
  readonly #groups: Pick<SubjectGroups, "note">;
  readonly #clock: Clock;
  readonly #publicOptions: () => JWTVerifyOptions;
  readonly #sandboxOptions: JWTVerifyOptions;
  /** Checked signatures by digest of the token; a signature costs more than the rest of a request. */
  readonly #verified = new Map<string, Principal>();

  constructor(parts: {
    org: OrgId;
    cluster: ClusterId;
    /** Issuer of people's and programs' tokens. */
    authority: () => string;
    keys: VerifyingKeys;
    policy: CurrentPolicy;
    tokens: ClusterTokens;
    /** Told of each use of a program's credentials. */
    onUse: (subject: string) => void;
    groups: Pick<SubjectGroups, "note">;
    clock: Clock;
  }) {
    this.#org = parts.org;
    this.#keys = parts.keys;
    this.#policy = parts.policy;
    this.#tokens = parts.tokens;
    this.#onUse = parts.onUse;
    this.#groups = parts.groups;
    this.#clock = parts.clock;
    const shared = { audience: audiences.router, algorithms: [signingAlgorithm] };
    this.#publicOptions = () => ({ ...shared, issuer: parts.authority(), typ: tokenTypes.router });
    this.#sandboxOptions = {
      ...shared,
      issuer: clusterIssuer(parts.org, parts.cluster),
      typ: tokenTypes.task,
    };
  }

  async authenticate(authorization: string | undefined, entrance: Entrance): Promise<Principal> {
    const token = bearerOf(authorization);
    const principal = await this.#verify(token, entrance);
    if (principal.expiresAtMs + clockToleranceSeconds * second <= this.#clock.now()) throw expired();
    requireNotTakenBack(this.#policy.bundle, principal);
    if (entrance.kind === "sandbox") this.#requireOwnSandbox(principal, entrance.attempt());
    if (principal.kind === "service") this.#onUse(principal.subject);
    if (principal.kind === "user") {
      await this.#groups.note(principal.subject, principal.groups, principal.issuedAt);
    }
    return principal;
  }

  async #verify(token: string, entrance: Entrance): Promise<Principal> {
    const key = `${entrance.kind}:${createHash("sha256").update(token).digest("base64url")}`;
    const known = this.#verified.get(key);
    if (known !== undefined) return known;
    const verified =
      entrance.kind === "public" ? await this.#verifyRouterToken(token) : await this.#verifyTaskToken(token);
    if (this.#verified.size >= verifiedMax) this.#verified.delete(this.#verified.keys().next().value!);
    this.#verified.set(key, verified);
    return verified;
  }

  async #verifyRouterToken(token: string): Promise<Principal> {
    const payload = await this.#checkSignature(token, "authority", this.#publicOptions());
    const claims = parseClaims(routerClaims, payload);
    this.#requireOurs(claims, limits.accessTokenMs);
    return {
      org: this.#org,
      subject: claims.sub,
      kind: claims.kind,
      tokenId: claims.jti,
      issuedAt: claims.iat,
      expiresAtMs: claims.exp * second,
      name: claims.name,
      email: claims.email,
      groups: claims.groups ?? [],
      grant: claims.grant,
      attempt: undefined,
      actingFor: undefined,
    };
  }

  async #verifyTaskToken(token: string): Promise<Principal> {
    const payload = await this.#checkSignature(token, "task", this.#sandboxOptions);
    const claims = parseClaims(taskClaims, payload);
    this.#requireOurs(claims, limits.taskTokenMs);
    const attempt: AttemptId = {
      org: this.#org,
      project: parseProjectId(claims.project),
      domain: parseDomainId(claims.domain),
      run: parseRunName(claims.run),
      action: parseActionName(claims.action),
      attempt: claims.attempt,
    };
    return {
      org: this.#org,
      subject: claims.sub,
      kind: "task",
      tokenId: claims.jti,
      issuedAt: claims.iat,
      expiresAtMs: claims.exp * second,
      name: undefined,
      email: undefined,
      groups: claims.groups ?? [],
      grant: undefined,
      attempt,
      actingFor: claims.acting_for,
    };
  }

  async #checkSignature(token: string, use: KeyUse, options: JWTVerifyOptions): Promise<JWTPayload> {
    const times = { currentDate: new Date(this.#clock.now()), clockTolerance: clockToleranceSeconds };
    const keyOf = ({ kid }: { kid?: string }) => {
      const key = this.#keys.find(use, kid);
      if (key === undefined) throw refused("The token's key is not one of this authority's.");
      return key;
    };
    try {
      return (await jwtVerify(token, keyOf, { ...options, ...times })).payload;
    } catch (error) {
      if ((error as { code?: string }).code === "ERR_JWT_EXPIRED") throw expired();
      throw refused("The token can't be verified here.", error);
    }
  }

  /** Denials reach as far as tokens live by rule: one that is dated ahead or lives longer would outlast its own. */
  #requireOurs({ org, iat, exp }: { org: string; iat: number; exp: number }, lifetimeMsMax: number): void {
    if (org !== this.#org) throw refused("The token is another organization's.");
    if (iat > this.#clock.now() / second + clockToleranceSeconds) throw refused("The token is dated ahead.");
    if ((exp - iat) * second > lifetimeMsMax) throw refused("The token lives longer than tokens may.");
  }

  #requireOwnSandbox(principal: Principal, inside: AttemptId | undefined): void {
    const { attempt } = principal;
    if (attempt === undefined) throw refused("Only task tokens are accepted here.");
    const isThis = inside !== undefined && attemptKey(inside) === attemptKey(attempt);
    if (isThis && !this.#tokens.hasEnded(attempt)) return;
    // Not `unauthenticated`: a client would try to sign in again for ever.
    throw new BiplaneError(
      "permission_denied",
      {
        what: "The attempt that this token belongs to is not the one in this sandbox.",
        why: "It has ended.",
      },
      { reason: "attempt_ended" },
    );
  }
}

/** Without a policy that is in date the decision refuses; here only what is known to be denied can be told. */
export function requireNotTakenBack(
  bundle: PolicyBundle | undefined,
  principal: Principal | undefined,
): void {
  if (bundle !== undefined && principal !== undefined && isDenied(bundle, principal)) throw revoked();
}

function bearerOf(authorization: string | undefined): string {
  const match = /^Bearer +(\S+)$/i.exec(authorization ?? "");
  if (match === null || match[1]!.length > tokenCharactersMax) {
    throw new BiplaneError(
      "unauthenticated",
      { what: "The request has no access token.", next: "Sign in with `biplane login`, then try again." },
      { reason: "token_missing" },
    );
  }
  return match[1]!;
}

function parseClaims<T>(schema: z.ZodType<T>, payload: JWTPayload): T {
  const parsed = schema.safeParse(payload);
  if (!parsed.success) throw refused("The token lacks claims that every token of this organization has.");
  return parsed.data;
}

function refused(why: string, cause?: unknown): BiplaneError {
  const text = {
    what: "The access token is not accepted.",
    why,
    next: "Sign in again with `biplane login`.",
  };
  return new BiplaneError("unauthenticated", text, { cause, reason: "token_refused" });
}

function revoked(): BiplaneError {
  const text = { what: "The access token was revoked.", next: "Sign in again with `biplane login`." };
  return new BiplaneError("unauthenticated", text, { reason: "token_revoked" });
}

function expired(): BiplaneError {
  const text = { what: "The access token has expired.", next: "Sign in again with `biplane login`." };
  return new BiplaneError("unauthenticated", text, { reason: "token_expired" });
}
