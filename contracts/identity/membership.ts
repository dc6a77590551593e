/** What clusters and their home cluster say to each other about membership. */

/** By which a joined cluster tells home of its new keys, signed by its intermediate. */
export const memberStatementType = "biplane-member+jws";

/** How long a statement is good for: it is made for one call. */
export const memberStatementMs = 10 * 60_000;

export interface MemberStatement {
  readonly org: string;
  readonly cluster: string;
  readonly region: string;
  /** Certificate request for a new intermediate, DER in base64url; empty where the present one goes on. */
  readonly request: string;
  /** Public keys of its tasks' tokens. */
  readonly taskKeys: readonly object[];
  /** Seconds since 1970. */
  readonly iat: number;
}
