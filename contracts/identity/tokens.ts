/** What the tokens of the customer's identity authority say. Two audiences, never one token for both. */

export const audiences = {
  /** Opens the organization's routers. */
  router: "biplane:router",
  /** Names the acting subject to the control plane; opens nothing in the data plane. */
  control: "biplane:control",
} as const;

/** What the header of a signed token says that it is (RFC 8725 section 3.11): no kind passes for another. */
export const tokenTypes = {
  router: "at+jwt",
  task: "biplane-task+jwt",
  control: "biplane-control+jwt",
} as const;

export type TokenKind = "user" | "service" | "task";

interface CommonClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  readonly org: string;
  readonly jti: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly exp: number;
}

export interface RouterClaims extends CommonClaims {
  readonly kind: "user" | "service";
  readonly name?: string;
  readonly email?: string;
}

/** Good for one attempt, at the entrance of its own sandbox, until the attempt ends. */
export interface TaskClaims extends CommonClaims {
  readonly kind: "task";
  readonly project: string;
  readonly domain: string;
  readonly run: string;
  readonly action: string;
  readonly attempt: number;
  /** Subject of the person or program that submitted the run. */
  readonly acting_for: string;
  /** The submitter's, those that the policy names. */
  readonly groups?: readonly string[];
}

/** Everything that the policy decides by: the control plane decides what the router has decided. */
export interface ControlClaims extends CommonClaims {
  readonly kind: TokenKind;
  /** Those that the policy names. */
  readonly groups?: readonly string[];
  readonly grant?: string;
  /** Id and time of issue of the token that the router was shown: taken back, it is worth nothing here either. */
  readonly origin: string;
  readonly origin_iat: number;
  /** Of a task: its attempt, and the submitter whose rights it has. */
  readonly project?: string;
  readonly domain?: string;
  readonly run?: string;
  readonly action?: string;
  readonly acting_for?: string;
}
