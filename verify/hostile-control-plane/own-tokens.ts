/** Tokens that somebody makes who knows everything that is public (claim TRUST-1): the right names, the wrong key. */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { audiences } from "@biplane/identity";

export interface PublicKeyOfAuthority {
  readonly kid: string;
  readonly x: string;
}

export function ownTokens(
  authority: string,
  org: string,
  subject: string,
  known: PublicKeyOfAuthority,
): Readonly<Record<string, string>> {
  const now = Math.floor(Date.now() / 1_000);
  const times = { iat: now, exp: now + 600, jti: "made-at-the-provider" };
  const claims = { iss: authority, sub: subject, aud: audiences.router, org, kind: "user", ...times };
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const header = (fields: object) => ({ typ: "at+jwt", kid: known.kid, ...fields });
  const ownSignature = (text: string) =>
    sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" });
  const jwk = publicKey.export({ format: "jwk" });
  const confused = (text: string) =>
    createHmac("sha256", Buffer.from(known.x, "base64url")).update(text).digest();
  return {
    "signed with a key of its own": token(header({ alg: "ES256" }), claims, ownSignature),
    "that brings its own key": token(header({ alg: "ES256", jwk }), claims, ownSignature),
    "without a signature": token(header({ alg: "none" }), claims, () => Buffer.alloc(0)),
    "that takes the public key for a secret": token(header({ alg: "HS256" }), claims, confused),
  };
}

function token(header: object, claims: object, signature: (text: string) => Buffer): string {
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${text}.${signature(text).toString("base64url")}`;
}
