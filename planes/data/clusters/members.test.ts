import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterId, day } from "@biplane/base";
import { clusters } from "@biplane/data-wire";
import { clusterUri, type ListedCluster, type MemberStatement, memberStatementType } from "@biplane/identity";
import {
  createCertificateRequest,
  createRootAuthority,
  fingerprint,
  issueCertificate,
  urisOf,
} from "@biplane/kit/certificates";
import { signStatement } from "@biplane/kit/cluster-statements";
import { readKeyFile } from "@biplane/kit/crypto";
import { eventually } from "@biplane/verify/frame/eventually";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readCertificates } from "../identity/certificates.ts";
import { openSigningKeys, signingKeysPath } from "../identity/signing-keys.ts";
import { joinOrganization } from "../join.ts";
import { testLog as log, startTestPlane, type TestPlane, testOrg } from "../plane.testing.ts";
import { statePaths } from "../state.ts";
import { readJoinCode, writeJoinCode } from "./join-code.ts";
import { keepMembership } from "./membership-keeper.ts";

const places = { router: "https://paris.acme.test:8443", objects: "https://paris.acme.test:8445" };

let plane: TestPlane;
let folder: string;
let membership: Client<typeof clusters.MembershipService>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-members-"));
  plane = await startTestPlane();
  const { token } = await plane.client("Admin");
  membership = createClient(clusters.MembershipService, plane.transport(token));
});
afterAll(async () => {
  await plane?.close();
  await rm(folder, { recursive: true, force: true });
});

let count = 0;
function freshState(): string {
  count += 1;
  return join(folder, `state-${count}`);
}

async function joinWith(code: string, cluster = "paris", state = freshState()) {
  const enrollCode = await plane.enrollCode(cluster);
  return { state, joined: await joinOrganization({ state, code, enrollCode, region: "eu-west", log }) };
}

const codeFor = async (cluster: string, at = places) =>
  (await membership.createJoinCode({ cluster, ...at })).code;
const listed = (name: string): ListedCluster | undefined => plane.stores.identity.clusters.find(name);

describe("A further cluster", () => {
  let code: string;
  let state: string;

  test("joins by a code of the home cluster, which brings the organization's root (claims FLOW-6, TRUST-1)", async () => {
    const made = await membership.createJoinCode({ cluster: "paris", ...places });
    code = made.code;
    expect(made.rootFingerprint).toBe(fingerprint(plane.rootPem));
    const result = await joinWith(code);
    state = result.state;
    const { config } = result.joined;
    expect(config).toMatchObject({ org: testOrg, cluster: "paris", region: "eu-west" });
    expect(config.addresses).toEqual({ ...places, authority: plane.config.addresses.authority });
    expect(config.home).toEqual({ router: plane.config.addresses.router });
    const profile = JSON.parse(await readFile(result.joined.profile, "utf8"));
    expect(profile).toMatchObject({ ...places, rootFingerprint: fingerprint(plane.rootPem) });
  });

  test("has keys of its own making, and an intermediate that is good for its own hosts alone (claim TLS-3)", async () => {
    const paths = statePaths(state);
    const { intermediate } = (await readCertificates(
      paths.certificates,
      await readKeyFile(paths.systemKey),
    ))!;
    const certificate = new X509Certificate(intermediate.certificatePem);
    expect(urisOf(certificate)).toEqual([clusterUri(testOrg, "paris")]);
    expect(certificate.verify(new X509Certificate(plane.rootPem).publicKey)).toBe(true);
    expect(await readdir(join(state, "keys"))).not.toContain("root.sealed");
    // What it may be good for is the issuer's word, in a critical extension.
    const { raw } = certificate;
    expect(raw.includes(Buffer.from("paris.acme.test"))).toBe(true);
    const home = new URL(plane.config.addresses.authority).hostname;
    const elsewhere = await issueCertificate(intermediate, {
      ...{ commonName: "x", hosts: ["other.acme.test"], uses: ["server"], lifetimeMs: 60_000 },
    });
    expect(await handshake(elsewhere, intermediate.certificatePem, "other.acme.test")).toMatch(/subtree/i);
    expect(home).toBe("localhost");
    const own = await issueCertificate(intermediate, {
      ...{ commonName: "x", hosts: ["paris.acme.test"], uses: ["server"], lifetimeMs: 60_000 },
    });
    expect(await handshake(own, intermediate.certificatePem, "paris.acme.test")).toBe("connected");
  });

  test("is in the list that the authority signs, with its keys", async () => {
    expect(listed("paris")).toMatchObject({ name: "paris", region: "eu-west", ...places });
    expect(listed("paris")?.authority).toBeUndefined();
    expect(listed("home")?.authority).toMatchObject({ address: plane.config.addresses.authority });
    expect(listed("paris")?.taskKeys[0]?.kid).not.toBe(listed("home")?.taskKeys[0]?.kid);
  });

  test("uses its code up: nobody else can join by it", async () => {
    await expect(joinWith(code)).rejects.toMatchObject({ code: "permission_denied", reason: "join_code" });
  });

  test("goes on where it was cut off: the same request is answered again", async () => {
    const again = await codeFor("lyon", { router: "https://lyon:1", objects: "https://lyon:2" });
    const cutOff = freshState();
    const options = { state: cutOff, code: again, region: "eu-west", log };
    const wrong = joinOrganization({ ...options, enrollCode: "no code" });
    await expect(wrong).rejects.toMatchObject({ reason: "enrollment_code" });
    const enrollCode = await plane.enrollCode("lyon");
    const { config } = await joinOrganization({ ...options, enrollCode });
    expect(config.cluster).toBe("lyon");
    expect(await readdir(cutOff)).not.toContain("certificates.sealed.request");
  });
});

describe("A join code is refused", () => {
  test("when it has expired, and when a newer one was made", async () => {
    const at = { router: "https://rome:1", objects: "https://rome:2" };
    const expiresAt = timestampFromMs(Date.now() + 1_500);
    const { code } = await membership.createJoinCode({ cluster: "rome", ...at, expiresAt });
    await new Promise((resolve) => setTimeout(resolve, 1_600));
    await expect(joinWith(code, "rome")).rejects.toMatchObject({ reason: "join_code" });
    const older = await codeFor("rome", at);
    await codeFor("rome", at);
    await expect(joinWith(older, "rome")).rejects.toMatchObject({ reason: "join_code" });
  });

  test("for another cluster than it was made for, and when its secret was made up", async () => {
    const code = readJoinCode(await codeFor("oslo", { router: "https://oslo:1", objects: "https://oslo:2" }));
    const other = writeJoinCode({ ...code, cluster: "bergen" as ClusterId }).reveal();
    await expect(joinWith(other, "bergen")).rejects.toMatchObject({ reason: "join_code" });
    const guessed = writeJoinCode({
      ...code,
      secret: { reveal: () => new Uint8Array(32) } as never,
    }).reveal();
    await expect(joinWith(guessed, "oslo")).rejects.toMatchObject({ reason: "join_code" });
    // The control: untouched it works.
    expect((await joinWith(writeJoinCode(code).reveal(), "oslo")).joined.config.cluster).toBe("oslo");
  });

  test("when it brings another root, as one that a control plane made would: nothing is sent", async () => {
    const code = readJoinCode(await codeFor("bonn", { router: "https://bonn:1", objects: "https://bonn:2" }));
    const impostor = await createRootAuthority("Impostor", 60_000);
    const forged = writeJoinCode({ ...code, rootPem: impostor.certificatePem }).reveal();
    await expect(joinWith(forged, "bonn")).rejects.toMatchObject({ reason: "home_unreachable" });
    expect((await joinWith(writeJoinCode(code).reveal(), "bonn")).joined.config.cluster).toBe("bonn");
  });

  test("each refusal is on record, and each joining (claim AUD-1)", async () => {
    const records = (await plane.audit()).filter(({ code }) => code === "CLUSTER_JOINED");
    const of = (decision: string) => records.filter((record) => record.decision === decision).length;
    expect(of("allowed")).toBeGreaterThanOrEqual(4);
    expect(of("refused")).toBeGreaterThanOrEqual(5);
    expect(records.find(({ decision }) => decision === "refused")?.reason).toBe("join_code");
  });
});

describe("A code is not made", () => {
  test.each([
    ["for the home cluster itself", "home", places, "failed_precondition"],
    ["for an address without TLS", "bern", { ...places, router: "http://bern:1" }, "invalid_argument"],
    ["at another cluster's address", "bern", places, "already_exists"],
    [
      "for a name with a slash",
      "be/rn",
      { router: "https://bern:1", objects: "https://bern:2" },
      "invalid_argument",
    ],
  ])("%s", async (_, cluster, at, code) => {
    await expect(membership.createJoinCode({ cluster, ...at })).rejects.toThrow(code);
  });
});

describe("A joined cluster's statement", () => {
  const statement = (changes: Partial<MemberStatement> = {}): MemberStatement => ({
    ...{ org: testOrg, cluster: "delft", region: "eu-north", request: "" },
    taskKeys: listed("home")!.taskKeys,
    iat: Math.floor(Date.now() / 1_000),
    ...changes,
  });
  let intermediate: Awaited<ReturnType<typeof readCertificates>>;
  const send = (signed: string, cluster = "delft") => membership.updateMember({ cluster, statement: signed });
  const signedBy = (signer: typeof intermediate, changes: Partial<MemberStatement> = {}) =>
    signStatement(statement(changes), memberStatementType, signer!.intermediate);

  beforeAll(async () => {
    const code = await codeFor("delft", { router: "https://delft:1", objects: "https://delft:2" });
    const { state } = await joinWith(code, "delft");
    const paths = statePaths(state);
    intermediate = await readCertificates(paths.certificates, await readKeyFile(paths.systemKey));
  });

  test("changes its keys and its region in the list", async () => {
    await send(await signedBy(intermediate));
    expect(listed("delft")).toMatchObject({ region: "eu-north", taskKeys: listed("home")!.taskKeys });
  });

  test("is refused when it is old, about another cluster, another's, or the control plane's", async () => {
    const own = await createRootAuthority("Provider", 600_000);
    const forged = await createIntermediate(own, "delft", 600_000, [clusterUri(testOrg, "delft")]);
    const refused = {
      old: await signedBy(intermediate, { iat: Math.floor(Date.now() / 1_000) - 3_600 }),
      "another cluster": await signedBy(intermediate, { cluster: "paris" }),
      "another organization": await signedBy(intermediate, { org: "umbrella" }),
      "another root": await signStatement(statement(), memberStatementType, forged),
      "another type": await signStatement(statement(), "biplane-enrollment+jws", intermediate!.intermediate),
      changed: `${(await signedBy(intermediate)).slice(0, -4)}AAAA`,
    };
    for (const [name, signed] of Object.entries(refused)) {
      await expect(send(signed), name).rejects.toThrow("permission_denied");
    }
    await expect(send(await signedBy(intermediate), "paris")).rejects.toThrow("permission_denied");
  });

  test("brings a new intermediate; the one before is good for a repeat whose answer was lost, and no further back", async () => {
    const made = await createCertificateRequest("delft");
    const request = Buffer.from(made.requestDer).toString("base64url");
    const { certificate } = await send(await signedBy(intermediate, { request }));
    expect(listed("delft")?.fingerprint).toBe(fingerprint(certificate));
    const repeated = await send(await signedBy(intermediate, { request }));
    const second = {
      ...intermediate!,
      intermediate: {
        certificatePem: new X509Certificate(repeated.certificate).toString(),
        privateKeyPem: made.privateKeyPem,
      },
    };
    await send(await signedBy(second));
    await expect(send(await signedBy(intermediate))).rejects.toThrow("not_found");
  });

  test("is worth nothing once the cluster is off the list, which its router leaves with it", async () => {
    await membership.removeCluster({ cluster: "delft" });
    expect(listed("delft")).toBeUndefined();
    await expect(send(await signedBy(intermediate))).rejects.toThrow("not_found");
    await expect(membership.removeCluster({ cluster: "delft" })).rejects.toThrow("not_found");
    await expect(membership.removeCluster({ cluster: "home" })).rejects.toThrow("failed_precondition");
  });
});

test("a joined cluster's intermediate ends soon, and is renewed long before that while the cluster runs", async () => {
  const code = await codeFor("ghent", { router: "https://ghent:1", objects: "https://ghent:2" });
  const { state, joined } = await joinWith(code, "ghent");
  const paths = statePaths(state);
  const systemKey = await readKeyFile(paths.systemKey);
  const certificates = (await readCertificates(paths.certificates, systemKey))!;
  const { validToDate } = new X509Certificate(certificates.intermediate.certificatePem);
  expect(validToDate.getTime() - Date.now()).toBeLessThan(46 * day);
  const keys = await openSigningKeys(signingKeysPath(paths.identity), systemKey);
  const renewed: string[] = [];
  const keeper = keepMembership({
    ...{ config: joined.config, certificates, keys, clock: { now: () => Date.now() }, log },
    clusters: {
      get own() {
        return listed("ghent");
      },
      get home() {
        return listed("home");
      },
      root: undefined,
    },
    onList: () => () => {},
    onCertificates: async ({ intermediate }) => void renewed.push(intermediate.certificatePem),
  });
  const known = () => listed("ghent")?.taskKeys[0]?.kid;
  const told = () =>
    eventually(
      async () => known(),
      (kid) => kid === keys.task.kid,
      { withinMs: 30_000, what: "Home being told" },
    );
  try {
    await keys.rotate();
    await told();
    expect(renewed).toEqual([]);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 16 * day });
    await keys.rotate();
    await told();
    // Home lists it before its answer is here.
    const count = async () => renewed.length;
    await eventually(count, (length) => length > 0, { withinMs: 30_000, what: "The new intermediate" });
    expect(renewed).toHaveLength(1);
    expect(listed("ghent")?.fingerprint).toBe(fingerprint(renewed[0]!));
  } finally {
    vi.useRealTimers();
    await keeper.close();
  }
});

/** What a client that believes the root alone says of a server with this certificate. */
async function handshake(
  leaf: { certificatePem: string; privateKeyPem: string },
  intermediatePem: string,
  servername: string,
): Promise<string> {
  const { connect, createServer } = await import("node:tls");
  const cert = `${leaf.certificatePem.trim()}\n${intermediatePem}`;
  const server = createServer({ cert, key: leaf.privateKeyPem });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const said = await new Promise<string>((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", servername, ca: plane.rootPem });
    socket.once("secureConnect", () => {
      socket.destroy();
      resolve("connected");
    });
    socket.once("error", (error) => resolve(error.message));
  });
  server.close();
  return said;
}
