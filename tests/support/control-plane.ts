/**
 * A control plane inside the test's process, on a real listener and a real database, and clusters enrolled with it as
 * data planes are: for tests of either end of the link.
 */
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EnrollmentService } from "@biplane/control-wire";
import { tokenTypes } from "@biplane/identity";
import {
  type Clock,
  createCertificateRequest,
  createClientTransport,
  createLogger,
  systemClock,
  type TlsIdentity,
} from "@biplane/kit";
import { createAuthority, policyFor } from "@biplane/verify/hostile-control-plane/authority";
import { createClient, type Transport } from "@connectrpc/connect";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { createLocalAdmin } from "../../planes/control/admin/admin.ts";
import { SignedDocuments } from "../../planes/control/documents/documents.ts";
import { type ControlPlane, startControlPlane } from "../../planes/control/server.ts";
import { type ControlState, openState } from "../../planes/control/state.ts";
import type { OrganizationCertificates } from "../../planes/data/identity/certificates.ts";
import { OrganizationRoot } from "../../planes/data/identity/root.ts";
import { signEnrollmentStatement } from "../../planes/data/link/enrollment-statement.ts";
import { type Enrollment, enroll } from "../../planes/data/link/index.ts";

export const quiet = createLogger({ component: "test", level: process.env["LOG_LEVEL"] ?? "silent" });

export interface TestControlPlane {
  readonly state: ControlState;
  readonly port: number;
  /** `root`: fingerprint of the only root that the code may pin. */
  code(org: string, cluster: string, root?: string): Promise<string>;
  /** Ends the listener and opens the state again, as after a restart; the port stays. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Without a folder it gets one of its own, which goes with those of the clusters. */
export async function startTestControlPlane(
  location: { folder?: string; url?: string | undefined; clusterCertificateMs?: number } = {},
  clock?: Clock,
): Promise<TestControlPlane> {
  const { folder = await newFolder("control"), url: databaseUrl, ...lifetimes } = location;
  let state = await openState({ folder, region: "eu-test", databaseUrl, ...lifetimes, log: quiet });
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
    code: async (org, cluster, root) => {
      const addresses = { edge: "localhost:1", public: { router: "localhost:2" } };
      const linkAddress = () => `localhost:${port}`;
      const admin = createLocalAdmin({ state, linkAddress, addresses, ...(clock ? { clock } : {}) });
      const parameters = { org, cluster, lifetimeMinutes: 60, addresses: { edge: "", public: {} } };
      const bound = root === undefined ? parameters : { ...parameters, root };
      return (await admin.run("enroll-code", bound)).code;
    },
    restart: async () => {
      await stop();
      state = await openState({ folder, region: "eu-test", databaseUrl, ...lifetimes, log: quiet });
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
    addresses: { edge: "", public: {} },
    log: quiet,
    ...(clock === undefined ? {} : { clock }),
  });
}

/** An organization as its home data plane sees it: its root, and the key of its control tokens. */
export interface TestOrganization {
  readonly name: string;
  readonly root: TlsIdentity;
  /** The root, and what each cluster of it enrolls with. */
  certificatesOf(cluster: string): Promise<OrganizationCertificates>;
  readonly tokenKeys: string;
  token(subject: string, claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

export async function createOrganization(name: string): Promise<TestOrganization> {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), alg: "EdDSA", kid: "control-1", use: "sig" };
  const root = await OrganizationRoot.create(name);
  return {
    name,
    root: root.export(),
    certificatesOf: async (cluster) => {
      const { requestDer, privateKeyPem } = await createCertificateRequest(cluster);
      const certificatePem = await root.signCluster(requestDer, { org: name, cluster }, ["localhost"]);
      return { root, intermediate: { certificatePem, privateKeyPem } };
    },
    tokenKeys: JSON.stringify({ keys: [jwk] }),
    token: (subject, claims = {}, header = {}) =>
      signToken(privateKey, { sub: subject, org: name, ...claims }, header),
  };
}

/** Has the control plane keep a policy by which these have their roles everywhere; the usual names of tests are Admin. */
export async function allow(
  control: Pick<TestControlPlane, "state">,
  { name, root }: Pick<TestOrganization, "name" | "root">,
  roles: Readonly<Record<string, string>> = {
    ada: "Admin",
    eve: "Admin",
    "subject-1": "Admin",
  },
): Promise<void> {
  const policy = await (await createAuthority(name, root)).sign("policy", 1, policyFor(roles));
  const documents = new SignedDocuments(control.state.store, control.state.audit, systemClock);
  const accepted = await documents.accept(name, "policy", policy);
  if (accepted.kind !== "accepted") throw new Error(`The policy was not accepted: ${accepted.kind}.`);
}

let tokenCount = 0;

function signToken(
  key: CryptoKey,
  claims: Record<string, unknown>,
  header: Record<string, unknown>,
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  tokenCount += 1;
  const jti = `token-${tokenCount}`;
  const origin = { kind: "user", origin: `origin-${tokenCount}`, origin_iat: now };
  const all = { aud: "biplane:control", iat: now, exp: now + 300, jti, ...origin, ...claims };
  const honest = { alg: "EdDSA", kid: "control-1", typ: tokenTypes.control };
  return new SignJWT(all).setProtectedHeader({ ...honest, ...header }).sign(key);
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

async function newFolder(purpose: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `biplane-${purpose}-`));
  folders.push(folder);
  return folder;
}

export async function enrollCluster(
  control: Pick<TestControlPlane, "code">,
  organization: TestOrganization,
  cluster: string,
): Promise<TestCluster> {
  const folder = await newFolder("cluster");
  const enrollment = await enroll({
    code: await control.code(organization.name, cluster),
    org: organization.name,
    cluster,
    certificates: await organization.certificatesOf(cluster),
    controlTokenKeys: organization.tokenKeys,
    region: "eu-test",
    folder,
    ledger: { record: async () => {} },
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

/** An enrollment as a data plane sends it, or changed on its way: for tests of what is refused. */
export async function stateEnrollment(
  control: TestControlPlane,
  organization: TestOrganization,
  cluster: string,
  changes: {
    readonly statement?: string;
    readonly certificateRequest?: Uint8Array;
    readonly controlTokenKeys?: string;
    readonly providerRoot?: Uint8Array;
    readonly signer?: TlsIdentity;
    readonly atMs?: number;
  },
  signAs = cluster,
) {
  const code = JSON.parse(
    Buffer.from(await control.code(organization.name, cluster), "base64url").toString("utf8"),
  ) as Record<"root" | "secret", string>;
  const { root, intermediate } = await organization.certificatesOf(signAs);
  const { requestDer } = await createCertificateRequest(cluster);
  const names = { org: organization.name, cluster };
  const codeProof = createHash("sha256").update(Buffer.from(code.secret, "base64url")).digest();
  const providerRoot = Buffer.from(code.root, "base64url");
  const controlTokenKeys = organization.tokenKeys;
  const stated = { ...names, codeProof, controlTokenKeys, request: requestDer };
  const statement = await signEnrollmentStatement(
    { ...stated, providerRoot: changes.providerRoot ?? providerRoot },
    changes.signer ?? intermediate,
    changes.atMs ?? Date.now(),
  );
  const request = {
    ...{ ...names, codeProof, region: "eu-test" },
    organizationRoot: new X509Certificate(root.certificatePem).raw,
    statement: changes.statement ?? statement,
    certificateRequest: changes.certificateRequest ?? requestDer,
    controlTokenKeys: changes.controlTokenKeys ?? controlTokenKeys,
  };
  const authorityPem = new X509Certificate(providerRoot).toString();
  const baseUrl = `https://localhost:${control.port}`;
  const transport = createClientTransport({ baseUrl, tls: { authorityPem } });
  return { request, send: () => createClient(EnrollmentService, transport).enroll(request) };
}

/** Call after the last test of a file. */
export async function removeClusterFolders(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
}
