/** The seconds and characters at which a token begins and ceases to be one, by a clock that stands still (claim IAM-1). */
import type { ClusterId, OrgId } from "@biplane/base";
import { audiences, tokenTypes } from "@biplane/identity";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeAll, expect, test } from "vitest";
import { RouterAuthenticator } from "./authenticator.ts";
import type { ClusterTokens } from "./tokens.ts";

const org = "acme" as OrgId;
const now = 1_800_000_000;
const issuer = "https://authority.acme.test";
let authenticator: RouterAuthenticator;
let sign: (claims: object) => Promise<string>;

beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const key = await exportJWK(publicKey);
  sign = (claims) =>
    new SignJWT({
      ...{ iss: issuer, sub: "ada", aud: audiences.router, org, kind: "user", jti: "j" },
      ...{ iat: now, exp: now + 60, ...claims },
    })
      .setProtectedHeader({ alg: "ES256", kid: "k", typ: tokenTypes.router })
      .sign(privateKey);
  authenticator = new RouterAuthenticator({
    ...{ org, cluster: "home" as ClusterId, authority: () => issuer },
    keys: { find: () => key },
    policy: { bundle: undefined },
    tokens: {} as ClusterTokens,
    onUse: () => {},
    groups: { note: async () => {} },
    clock: { now: () => now * 1_000 },
  });
});

const outcomeOf = (token: string) =>
  authenticator.authenticate(`Bearer ${token}`, { kind: "public", address: "" }).then(
    ({ subject }) => subject,
    ({ reason }: { reason?: string }) => reason,
  );

test.each([
  ["its end", { iat: now - 60, exp: now - 4 }, { iat: now - 60, exp: now - 5 }, "token_expired"],
  ["its beginning", { nbf: now + 5 }, { nbf: now + 6 }, "token_refused"],
  ["its issue", { iat: now + 5 }, { iat: now + 6 }, "token_refused"],
  ["its life", { exp: now + 900 }, { exp: now + 901 }, "token_refused"],
  ["its size", { more: "a".repeat(5_000) }, { more: "a".repeat(8_000) }, "token_missing"],
])("%s: good up to there, refused beyond", async (_, good, bad, reason) => {
  expect(await outcomeOf(await sign(good))).toBe("ada");
  expect(await outcomeOf(await sign(bad))).toBe(reason);
});
