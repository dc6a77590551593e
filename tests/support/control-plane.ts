/**
 * A control plane inside the test's process, on a real listener and a real database, and clusters enrolled with it as
 * data planes are: for tests of either end of the link.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Clock,
  createClientTransport,
  createLogger,
  createRootAuthority,
  type TlsIdentity,
} from "@biplane/kit";
import type { Transport } from "@connectrpc/connect";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { createLocalAdmin } from "../../planes/control/admin/admin.ts";
import { type ControlPlane, startControlPlane } from "../../planes/control/server.ts";
import { type ControlState, openState } from "../../planes/control/state.ts";
import { type Enrollment, enroll } from "../../planes/data/link/index.ts";

export const quiet = createLogger({ component: "test", level: process.env["LOG_LEVEL"] ?? "silent" });
const hour = 3_600_000;

export interface TestControlPlane {
  readonly state: ControlState;
  readonly port: number;
  code(org: string, cluster: string): Promise<string>;
  /** Ends the listener and opens the state again, as after a restart; the port stays. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function startTestControlPlane(
  location: { folder: string; url?: string | undefined },
  clock?: Clock,
): Promise<TestControlPlane> {
  let state = await openState({ folder: location.folder, databaseUrl: location.url, log: quiet });
  let plane = await start(state, 0, clock);
  const { port } = plane;
  const stop = async () => {
    await plane.close();
    await state.close();
  };
  return {
    get state() {
      return state;
    },
    port,
    code: async (org, cluster) => {
      const addresses = { edge: "localhost:1", public: { router: "localhost:2" } };
      const linkAddress = () => `localhost:${port}`;
      const admin = createLocalAdmin({ state, linkAddress, addresses, ...(clock ? { clock } : {}) });
      const parameters = { org, cluster, lifetimeMinutes: 60, addresses: { edge: "", public: {} } };
      return (await admin.run("enroll-code", parameters)).code;
    },
    restart: async () => {
      await stop();
      state = await openState({ folder: location.folder, databaseUrl: location.url, log: quiet });
      plane = await start(state, port, clock);
    },
    close: stop,
  };
}

function start(state: ControlState, port: number, clock: Clock | undefined): Promise<ControlPlane> {
  return startControlPlane({
    state,
    host: "127.0.0.1",
    port,
    advertise: undefined,
    region: "eu-test",
    addresses: { edge: "", public: {} },
    log: quiet,
    ...(clock === undefined ? {} : { clock }),
  });
}

/** An organization as its home data plane sees it: its root, and the key of its control tokens. */
export interface TestOrganization {
  readonly name: string;
  readonly root: TlsIdentity;
  readonly tokenKeys: string;
  token(subject: string, claims?: Record<string, unknown>): Promise<string>;
}

export async function createOrganization(name: string): Promise<TestOrganization> {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), alg: "EdDSA", kid: "control-1", use: "sig" };
  return {
    name,
    root: await createRootAuthority(`${name} root`, hour),
    tokenKeys: JSON.stringify({ keys: [jwk] }),
    token: (subject, claims = {}) => signToken(privateKey, { sub: subject, org: name, ...claims }),
  };
}

let tokenCount = 0;

function signToken(key: CryptoKey, claims: Record<string, unknown>): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  tokenCount += 1;
  const all = { aud: "biplane:control", iat: now, exp: now + 300, jti: `token-${tokenCount}`, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: "EdDSA", kid: "control-1" }).sign(key);
}

export interface TestCluster {
  readonly organization: TestOrganization;
  readonly folder: string;
  readonly enrollment: Enrollment;
  /** To the control plane, with the cluster's certificate. */
  transport(): Transport;
  /** The same, in the name of a subject. */
  transportAs(subject: string): Transport;
}

const folders: string[] = [];

export async function enrollCluster(
  control: Pick<TestControlPlane, "code">,
  organization: TestOrganization,
  cluster: string,
): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), "biplane-cluster-"));
  folders.push(folder);
  const enrollment = await enroll({
    code: await control.code(organization.name, cluster),
    org: organization.name,
    cluster,
    organizationRootPem: organization.root.certificatePem,
    controlTokenKeys: organization.tokenKeys,
    region: "eu-test",
    folder,
    log: quiet,
  });
  const transport = (authorization?: () => Promise<string>) =>
    createClientTransport({
      baseUrl: `https://${enrollment.linkAddress}`,
      tls: { authorityPem: enrollment.providerRootPem, identity: enrollment.identity },
      interceptors: [
        (next) => async (request) => {
          if (authorization !== undefined) request.header.set("authorization", await authorization());
          return next(request);
        },
      ],
    });
  return {
    organization,
    folder,
    enrollment,
    transport: () => transport(),
    transportAs: (subject) => transport(async () => `Bearer ${await organization.token(subject)}`),
  };
}

/** Call after the last test of a file. */
export async function removeClusterFolders(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
}
