/** Whom the index believes: tokens of the organization's own key, for control planes, in date; and nothing else. */
import { generateKeyPairSync } from "node:crypto";
import { IndexService } from "@biplane/control-wire";
import { createClientTransport } from "@biplane/kit";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  allow,
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";

/** Stands still where a border is looked at. */
let frozenAtMs: number | undefined;
const clock = { now: () => frozenAtMs ?? Date.now() };

let control: TestControlPlane;
let home: TestCluster;
/** Of the same organization, with a key of its own. */
let second: TestCluster;
let other: TestCluster;

beforeAll(async () => {
  control = await startTestControlPlane({}, clock);
  const acme = await createOrganization("acme");
  home = await enrollCluster(control, acme, "home");
  second = await enrollCluster(control, { ...acme, ...(await ownTokens("acme")) }, "second");
  other = await enrollCluster(control, await createOrganization("other"), "home");
  await allow(control, acme);
});
afterAll(async () => {
  await control?.close();
  await removeClusterFolders();
});

async function ownTokens(name: string) {
  const { tokenKeys, token } = await createOrganization(name);
  return { tokenKeys, token };
}

const now = () => Math.floor(Date.now() / 1_000);
type Difference = readonly [claims: Record<string, unknown>, header?: Record<string, unknown>];

async function codeOf(token: string | undefined): Promise<Code | "ok"> {
  const { enrollment } = home;
  const transport = createClientTransport({
    baseUrl: `https://${enrollment.linkAddress}`,
    tls: { authorityPem: enrollment.providerRootPem, identity: enrollment.identity },
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(IndexService, transport)
    .listProjects({})
    .then(
      () => "ok" as const,
      (error: ConnectError) => error.code,
    );
}

const honest: Readonly<Record<string, () => Difference>> = {
  "no difference": () => [{}],
  "an end that passed 20 seconds ago": () => [{ iat: now() - 200, exp: now() - 20 }],
  "an issue 20 seconds ahead": () => [{ iat: now() + 20 }],
  "a claim of 5,000 characters that nobody asks for": () => [{ more: "a".repeat(5_000) }],
};
const forgeries: Readonly<Record<string, () => Difference>> = {
  "the audience of routers": () => [{ aud: "biplane:router" }],
  "two audiences": () => [{ aud: ["biplane:control", "biplane:router"] }],
  "no audience": () => [{ aud: undefined }],
  "another organization": () => [{ org: "other" }],
  "no organization": () => [{ org: undefined }],
  "an end that has passed": () => [{ iat: now() - 400, exp: now() - 100 }],
  "no end": () => [{ exp: undefined }],
  "a beginning that has not come": () => [{ nbf: now() + 120 }],
  "an issue that is dated ahead": () => [{ iat: now() + 3_600, exp: now() + 3_700 }],
  "a life of a day": () => [{ exp: now() + 86_400 }],
  "no id": () => [{ jti: undefined }],
  "no subject": () => [{ sub: undefined }],
  "a subject of 10,000 characters": () => [{ sub: "a".repeat(10_000) }],
  "more than 8,192 characters": () => [{ more: "a".repeat(8_000) }],
  "the type of router tokens": () => [{}, { typ: "at+jwt" }],
  "no type": () => [{}, { typ: undefined }],
  "another key's name": () => [{}, { kid: "control-2" }],
};

test.each(Object.keys(honest))("control: a control token with %s is accepted", async (name) => {
  expect(await codeOf(await home.organization.token("ada", ...honest[name]!()))).toBe("ok");
});

test.each(Object.keys(forgeries))("a control token with %s is refused (claim TRUST-1)", async (name) => {
  expect(await codeOf(await home.organization.token("ada", ...forgeries[name]!()))).toBe(
    Code.Unauthenticated,
  );
});

/** Clocks of honest machines differ by half a minute at most, and a token lives six minutes at most. */
const borders: readonly [what: string, good: (now: number) => object, bad: (now: number) => object][] = [
  ["its end", (now) => ({ iat: now - 99, exp: now - 29 }), (now) => ({ iat: now - 99, exp: now - 30 })],
  ["its beginning", (now) => ({ nbf: now + 30 }), (now) => ({ nbf: now + 31 })],
  ["its issue", (now) => ({ iat: now + 30, exp: now + 99 }), (now) => ({ iat: now + 31, exp: now + 99 })],
  ["its life", (now) => ({ iat: now, exp: now + 360 }), (now) => ({ iat: now, exp: now + 361 })],
];

test.each(borders)("the second that decides about %s is the documented one", async (_, good, bad) => {
  const seconds = now();
  frozenAtMs = seconds * 1_000;
  try {
    expect(await codeOf(await home.organization.token("ada", { ...good(seconds) }))).toBe("ok");
    const late = await home.organization.token("ada", { ...bad(seconds) });
    expect(await codeOf(late)).toBe(Code.Unauthenticated);
  } finally {
    frozenAtMs = undefined;
  }
});

const others: Readonly<Record<string, () => Promise<string | undefined>>> = {
  "no token": async () => undefined,
  "another organization's token": () => other.organization.token("ada"),
  "another organization's token that says it is this one's": () =>
    other.organization.token("ada", { org: "acme" }),
  "a token of another cluster of the organization": () => second.organization.token("ada"),
  "a token without signature": async () => {
    const [, payload] = (await home.organization.token("ada")).split(".");
    const header = { alg: "none", typ: "biplane-control+jwt" };
    return `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${payload}.`;
  },
  "a token that the control plane signed itself, its key in the header": () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const claims = { aud: "biplane:control", org: "acme", sub: "ada", jti: "j", iat: now(), exp: now() + 60 };
    const header = { alg: "EdDSA", typ: "biplane-control+jwt", jwk: publicKey.export({ format: "jwk" }) };
    return new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
  },
};

test.each(Object.keys(others))("%s is refused", async (name) => {
  expect(await codeOf(await others[name]!())).toBe(Code.Unauthenticated);
});
