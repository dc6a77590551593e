/** What the data plane knows of who is calling, and the tokens that it issues. */
import type { AttemptId, OrgId, Secret } from "@biplane/base";

export type PrincipalKind = "user" | "service" | "task";

/** Who acts. For tasks `attempt` says which one; `actingFor` is the submitter whose rights it has. */
export interface Principal {
  readonly org: OrgId;
  readonly subject: string;
  readonly kind: PrincipalKind;
  readonly tokenId: string;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAtMs: number;
  readonly name: string | undefined;
  readonly email: string | undefined;
  /** At the customer's own provider. */
  readonly groups: readonly string[];
  /** Names the grant that the token was issued under. */
  readonly grant: string | undefined;
  readonly attempt: AttemptId | undefined;
  readonly actingFor: string | undefined;
}

/** As whom an attempt acts, at the router and at the object store. */
export function taskSubject({ project, domain, run, action, attempt }: AttemptId): string {
  return `task:${project}/${domain}/${run}/${action}/${attempt}`;
}

/** As much of a principal as decides what it may do. */
export type ActingPrincipal = Pick<
  Principal,
  "org" | "subject" | "kind" | "tokenId" | "issuedAt" | "groups" | "grant" | "attempt" | "actingFor"
>;

/** Where a request came in: the public router, or one sandbox's own socket. */
export type Entrance =
  | { readonly kind: "public"; readonly address: string }
  | { readonly kind: "sandbox"; readonly attempt: () => AttemptId | undefined };

export interface Authenticator {
  /** Throws `unauthenticated`. A task token is good at its own sandbox's entrance only. */
  authenticate(authorization: string | undefined, entrance: Entrance): Promise<Principal>;
}

export interface TokenIssuer {
  /** How long a task's token lasts. */
  readonly taskTokenMs: number;
  /** Opens this cluster's router for one attempt, through its sandbox's socket. */
  taskToken(attempt: AttemptId, submitter: string): Promise<Secret<string>>;
  /** Names who acts to the control plane, with all that the policy decides by; opens no router. */
  controlToken(principal: ActingPrincipal): Promise<Secret<string>>;
  /** The attempt ended: its tokens no longer work. */
  revokeAttempt(attempt: AttemptId): void;
}
