/** The policy bundle: who has which role where, what custom roles permit, and which tokens no longer work. */
import { z } from "zod";
import { documentSchema, type SignedContent } from "./signed-document.ts";

export const policyLimits = {
  rolesMax: 200,
  permissionsPerRoleMax: 100,
  assignmentsMax: 10_000,
  deniedMax: 10_000,
} as const;

/** A subject is no mail address and no sentence: the provider reads it (claim CLS-2). */
const subject = z.string().regex(/^[^\s@\p{Cc}]{1,255}$/u);
const group = z.string().regex(/^[^\p{Cc}]{1,255}$/u);
const label = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
const seconds = z.int().nonnegative();

/** As roles are named, built-in ones included. */
export const roleNamePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;

const role = z.strictObject({
  name: z.string().regex(roleNamePattern),
  /** One that a cluster's version does not know grants nothing there. */
  permissions: z.array(z.string().regex(/^[a-z]+\.[a-z]+$/)).max(policyLimits.permissionsPerRoleMax),
});

const assignment = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  principal: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("subject"), id: subject }),
    z.strictObject({ kind: z.literal("group"), id: group }),
  ]),
  role: z.string().regex(roleNamePattern),
  /** Nothing given is the whole organization, `domain` alone that domain of every project. */
  scope: z.strictObject({ project: label.optional(), domain: label.optional() }),
});

const denial = z.strictObject({
  kind: z.enum(["subject", "grant", "token"]),
  /** The subject, the grant's name in tokens (a keyed hash of its id), or the token's `jti`. */
  id: z.string().regex(/^[^\s\p{Cc}]{1,255}$/u),
  /** Tokens that were issued up to then are denied: who signs in again later gets a good one. */
  issuedUntil: seconds,
  /** When the last such token has expired, so that the entry can be dropped. */
  until: seconds,
});

const content = {
  roles: z.array(role).max(policyLimits.rolesMax),
  assignments: z.array(assignment).max(policyLimits.assignmentsMax),
  denied: z.array(denial).max(policyLimits.deniedMax),
};

export const policyDocument = documentSchema(content);
export const policyContent = z.strictObject(content);
export type PolicyContent = z.infer<typeof policyContent>;
export type CustomRole = PolicyContent["roles"][number];
export type Assignment = PolicyContent["assignments"][number];
export type AssignmentPrincipal = Assignment["principal"];
export type AssignmentScope = Assignment["scope"];
export type Denial = PolicyContent["denied"][number];

/** What `issuedUntil` says of those who may not come back, and of grants that have ended: no later token is good. */
export const deniedForGood = Number.MAX_SAFE_INTEGER;

export interface PolicyBundle extends PolicyContent {
  readonly org: string;
  readonly version: number;
}

/** The same bundle as before where it says the same: what was decided by it still holds. */
export function bundleOf(
  { head, content }: SignedContent<PolicyContent>,
  before?: PolicyBundle,
): PolicyBundle {
  if (before?.org === head.org && before.version === head.version) return before;
  return { org: head.org, version: head.version, ...content };
}

/** Of somebody's groups those that decide anything; people may be in a thousand others. */
export function groupsNamedIn(bundle: PolicyBundle, groups: readonly string[]): string[] {
  if (groups.length === 0) return [];
  const named = new Set(
    bundle.assignments.flatMap(({ principal }) => (principal.kind === "group" ? [principal.id] : [])),
  );
  return groups.filter((group) => named.has(group));
}

/** What a token says of itself, as far as it can be denied. */
export interface DeniableToken {
  readonly subject: string;
  readonly grant?: string | undefined;
  readonly tokenId: string;
  /** Seconds since 1970. */
  readonly issuedAt: number;
}

const denials = new WeakMap<PolicyBundle, ReadonlyMap<string, number>>();

/** Whether the bundle's deny list takes the token back though it is in date (claim IAM-1). */
export function isDenied(bundle: PolicyBundle, token: DeniableToken): boolean {
  const until = denialsOf(bundle);
  const names = [`subject ${token.subject}`, `token ${token.tokenId}`];
  if (token.grant !== undefined) names.push(`grant ${token.grant}`);
  return names.some((name) => token.issuedAt <= (until.get(name) ?? -1));
}

/**
 * Whether a subject may not come back, so that nothing goes on in its name either. Whose sign-ins were ended and who may
 * sign in again is another thing: their runs stay theirs.
 */
export function isKeptOut(bundle: PolicyBundle, subject: string): boolean {
  return deniedUntil(bundle, "subject", subject) === deniedForGood;
}

/** Up to which second of their issue such tokens are denied; undefined where none is. */
export function deniedUntil(bundle: PolicyBundle, kind: Denial["kind"], id: string): number | undefined {
  return denialsOf(bundle).get(`${kind} ${id}`);
}

function denialsOf(bundle: PolicyBundle): ReadonlyMap<string, number> {
  let known = denials.get(bundle);
  if (known === undefined) {
    const entries = new Map<string, number>();
    for (const { kind, id, issuedUntil } of bundle.denied) {
      const name = `${kind} ${id}`;
      entries.set(name, Math.max(issuedUntil, entries.get(name) ?? 0));
    }
    known = entries;
    denials.set(bundle, known);
  }
  return known;
}
