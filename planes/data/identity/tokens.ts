/** Mints the two kinds of token that this cluster issues itself: for its tasks, and for the control plane to see. */
import { randomUUID } from "node:crypto";
import { type AttemptId, type ClusterId, limits, type OrgId, Secret, second } from "@biplane/base";
import { audiences, type ControlClaims, groupsNamedIn, tokenTypes } from "@biplane/identity";
import type { Clock } from "@biplane/kit/clock";
import { SignJWT } from "jose";
import type { CurrentPolicy } from "../policy/policy.ts";
import { type SigningKey, type SigningKeys, signingAlgorithm } from "./signing-keys.ts";
import type { SubjectGroups } from "./subject-groups.ts";
import { type ActingPrincipal, type TokenIssuer, taskSubject } from "./types.ts";

/** Issuer of a cluster's own tokens. */
export function clusterIssuer(org: string, cluster: string): string {
  return `urn:biplane:cluster:${org}:${cluster}`;
}

export function attemptKey(attempt: AttemptId): string {
  return [attempt.org, attempt.project, attempt.domain, attempt.run, attempt.action, attempt.attempt].join(
    "/",
  );
}

const endedAttemptsMax = 100_000;

export class ClusterTokens implements TokenIssuer {
  readonly #org: OrgId;
  readonly #issuer: string;
  readonly #keys: Pick<SigningKeys, "task" | "control">;
  readonly #policy: CurrentPolicy;
  readonly #groups: Pick<SubjectGroups, "of">;
  readonly #clock: Clock;
  readonly taskTokenMs: number;
  /** Attempts whose tokens may still be in date, oldest first. */
  readonly #ended = new Map<string, number>();

  constructor(parts: {
    org: OrgId;
    cluster: ClusterId;
    keys: Pick<SigningKeys, "task" | "control">;
    policy: CurrentPolicy;
    groups: Pick<SubjectGroups, "of">;
    clock: Clock;
    taskTokenMs?: number | undefined;
  }) {
    this.#org = parts.org;
    this.#issuer = clusterIssuer(parts.org, parts.cluster);
    this.#keys = parts.keys;
    this.#policy = parts.policy;
    this.#groups = parts.groups;
    this.#clock = parts.clock;
    this.taskTokenMs = Math.min(parts.taskTokenMs ?? limits.taskTokenMs, limits.taskTokenMs);
  }

  async taskToken(attempt: AttemptId, submitter: string): Promise<Secret<string>> {
    const { project, domain, run, action } = attempt;
    const claims = {
      kind: "task",
      project,
      domain,
      run,
      action,
      attempt: attempt.attempt,
      acting_for: submitter,
      ...this.#groupClaim(this.#groups.of(submitter)),
    };
    const { task } = this.#keys;
    return this.#sign(
      task,
      tokenTypes.task,
      audiences.router,
      taskSubject(attempt),
      claims,
      this.taskTokenMs,
    );
  }

  controlToken(principal: ActingPrincipal): Promise<Secret<string>> {
    return this.#sign(
      this.#keys.control,
      tokenTypes.control,
      audiences.control,
      principal.subject,
      { ...controlClaims(principal), ...this.#groupClaim(principal.groups) },
      limits.controlTokenMs,
    );
  }

  /** Those that decide anything: no other group of a person concerns a task or the provider. */
  #groupClaim(groups: readonly string[]): { groups?: readonly string[] } {
    const { bundle } = this.#policy;
    const named = bundle === undefined ? [] : groupsNamedIn(bundle, groups);
    return named.length === 0 ? {} : { groups: named };
  }

  revokeAttempt(attempt: AttemptId): void {
    const now = this.#clock.now();
    for (const [key, endsAtMs] of this.#ended) {
      if (endsAtMs > now && this.#ended.size < endedAttemptsMax) break;
      this.#ended.delete(key);
    }
    this.#ended.set(attemptKey(attempt), now + limits.taskTokenMs);
  }

  hasEnded(attempt: AttemptId): boolean {
    return this.#ended.has(attemptKey(attempt));
  }

  async #sign(
    key: SigningKey,
    type: string,
    audience: string,
    subject: string,
    claims: object,
    lifetimeMs: number,
  ): Promise<Secret<string>> {
    const nowSeconds = Math.floor(this.#clock.now() / second);
    const token = await new SignJWT({ ...claims, org: this.#org })
      .setProtectedHeader({ alg: signingAlgorithm, kid: key.kid, typ: type })
      .setIssuer(this.#issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + lifetimeMs / second)
      .sign(key.privateKey);
    return new Secret(token);
  }
}

type OwnControlClaims = Omit<ControlClaims, "iss" | "sub" | "aud" | "org" | "jti" | "iat" | "exp">;

function controlClaims(principal: ActingPrincipal): OwnControlClaims {
  const { kind, grant, tokenId, issuedAt, attempt, actingFor } = principal;
  const claims = { kind, origin: tokenId, origin_iat: issuedAt };
  const { project, domain, run, action } = attempt ?? {};
  return {
    ...claims,
    ...(grant === undefined ? {} : { grant }),
    ...(attempt === undefined ? {} : { project, domain, run, action }),
    ...(actingFor === undefined ? {} : { acting_for: actingFor }),
  };
}
