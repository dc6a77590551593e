/**
 * What a data plane states when it enrolls, signed by its intermediate: that whoever has the organization's root wants
 * this key to be this cluster, under this code, at this control plane. A code alone makes nobody an organization.
 */

export const enrollmentStatementType = "biplane-enrollment+jws";

/** How long a statement is good for: it is made for one call. */
export const enrollmentStatementMs = 10 * 60_000;

export interface EnrollmentStatement {
  readonly org: string;
  readonly cluster: string;
  /** SHA-256 of each, base64url: the provider's root, the code's secret, the certificate request, the token keys. */
  readonly provider: string;
  readonly code: string;
  readonly request: string;
  readonly tokenKeys: string;
  /** Seconds since 1970. */
  readonly iat: number;
}
