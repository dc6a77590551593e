/**
 * Who a call of the index acts for: a `control` token of the organization's own identity authority, whose keys were
 * pinned at enrollment. The control plane can check such a token and can't make one (claims IDN, architecture 3).
 */
import { BiplaneError, limits, minute, type OrgId, parseOrgId, second } from "@biplane/base";
import { type Actor, audiences, type DeniableToken, tokenTypes } from "@biplane/identity";
import type { Clock } from "@biplane/kit";
import { createContextKey } from "@connectrpc/connect";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { z } from "zod";
import type { ClusterPeer } from "../clusters/peer.ts";
import type { Store } from "../store/open.ts";

export interface Principal extends Actor {
  readonly org: OrgId;
  readonly cluster: string;
  /** What the router was shown, as far as it can be denied. */
  readonly origin: DeniableToken;
}

const skewSeconds = 30;

export const principalKey = createContextKey<Principal | undefined>(undefined);

export async function verifyControlToken(
  store: Store,
  clock: Clock,
  peer: ClusterPeer,
  authorization: string | null,
): Promise<Principal> {
  const token = /^Bearer ([A-Za-z0-9_.-]{1,8192})$/.exec(authorization ?? "")?.[1];
  if (token === undefined) throw refused("No control token came with the call.");
  const payload = await verify(await keysOf(store, peer), clock, token);
  const { iat, exp } = payload;
  if (payload["org"] !== peer.org) throw refused("The control token belongs to another organization.");
  if (payload.aud !== audiences.control) throw refused("The control token is for other audiences too.");
  if (exp === undefined || iat === undefined || (exp - iat) * second > limits.controlTokenMs + minute) {
    throw refused("The control token lives too long.");
  }
  if (iat > clock.now() / second + skewSeconds) throw refused("The control token is dated ahead.");
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success) throw refused("The control token lacks claims that every one has.");
  return { org: parseOrgId(peer.org), cluster: peer.cluster, ...actorOf(claims.data) };
}

const name = z.string().min(1).max(255);
const common = {
  sub: name,
  jti: name,
  groups: z.array(name).max(1_000).default([]),
  grant: name.optional(),
  origin: name,
  origin_iat: z.int().nonnegative(),
};
const claimsSchema = z.discriminatedUnion("kind", [
  z.object({ ...common, kind: z.enum(["user", "service"]) }),
  z.object({
    ...common,
    kind: z.literal("task"),
    project: name,
    domain: name,
    run: name,
    action: name,
    acting_for: name,
  }),
]);

function actorOf(claims: z.infer<typeof claimsSchema>): Omit<Principal, "org" | "cluster"> {
  const { sub: subject, kind, groups, grant, origin: tokenId, origin_iat: issuedAt } = claims;
  const known = { subject, kind, groups, origin: { subject, grant, tokenId, issuedAt } };
  if (claims.kind !== "task") return known;
  const { project, domain, run, action, acting_for: actingFor } = claims;
  return { ...known, attempt: { project, domain, run, action }, actingFor };
}

/** Each cluster's own: a token that one cluster showed is worth nothing on another one's link. */
async function keysOf(store: Store, { org, cluster }: ClusterPeer): Promise<JSONWebKeySet> {
  const row = await store.asOrg(org, (transaction) =>
    transaction
      .selectFrom("cluster")
      .select("token_keys")
      .where((where) => where.and({ org_id: org, name: cluster }))
      .executeTakeFirst(),
  );
  if (row?.token_keys == null) throw refused("The cluster has no keys for control tokens here.");
  return JSON.parse(row.token_keys) as JSONWebKeySet;
}

async function verify(keys: JSONWebKeySet, clock: Clock, token: string): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
      audience: audiences.control,
      typ: tokenTypes.control,
      algorithms: ["EdDSA", "Ed25519", "ES256"],
      requiredClaims: ["sub", "jti", "iat", "exp", "org"],
      clockTolerance: skewSeconds,
      currentDate: new Date(clock.now()),
    });
    return payload;
  } catch (cause) {
    const expired = cause instanceof errors.JWTExpired;
    throw refused(expired ? "The control token expired." : "The control token is not valid here.", cause);
  }
}

function refused(what: string, cause?: unknown): BiplaneError {
  return new BiplaneError(
    "unauthenticated",
    { what, next: "Ask the organization's identity authority for a new control token." },
    { cause, reason: "control_token" },
  );
}
