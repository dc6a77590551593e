/** What a client needs to find and trust its organization; written by the data plane, holds no secret. */
export interface Profile {
  readonly version: 1;
  readonly org: string;
  readonly cluster: string;
  /** `https://host:port` of the router, the identity authority (its issuer) and the object server. */
  readonly router: string;
  readonly authority: string;
  readonly objects: string;
  readonly bucket: string;
  readonly region: string;
  /** The organization's root: the only authority that clients believe for the three. */
  readonly rootPem: string;
  /** SHA-256 of the root's DER form, lower-case hex. */
  readonly rootFingerprint: string;
  readonly publicClientId: string;
}

/** The client that people sign in with: no secret, loopback redirects, PKCE or device code. */
export const publicClientId = "biplane-cli";
