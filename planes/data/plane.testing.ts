/**
 * For tests: the public side of a real data plane, initialized and enrolled as any other, with a real control plane
 * behind the link, listening on loopback. No executor: runs stay queued.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditRecord } from "@biplane/audit";
import type { ClusterId, OrgId } from "@biplane/base";
import type { AssignmentScope } from "@biplane/identity";
import { createClientTransport } from "@biplane/kit/connect-client";
import { readKeyFile } from "@biplane/kit/crypto";
import { Egress } from "@biplane/kit/egress";
import { Closers } from "@biplane/kit/lifecycle";
import { createLogger } from "@biplane/kit/logging";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { startTestControlPlane, type TestControlPlane } from "../../tests/support/control-plane.ts";
import { type DataPlaneConfig, readConfig } from "./config.ts";
import { OwnCertificates, readCertificates, ServingCertificate } from "./identity/certificates.ts";
import { RootRotation } from "./identity/root-rotation.ts";
import { prepareClient } from "./identity/subject-rules.ts";
import { initialize } from "./init.ts";
import { createLinkRecords, type Link, startLink } from "./link/index.ts";
import type { DataPlaneOptions } from "./options.ts";
import { createRouting, type Routing } from "./routing.ts";
import { type StatePaths, statePaths } from "./state.ts";
import { openStores, type Stores } from "./stores.ts";

export const testOrg = "acme" as OrgId;
export const testCluster = "home" as ClusterId;
export const testLog = createLogger({ component: "test", level: process.env["LOG_LEVEL"] ?? "silent" });
const log = testLog;

export interface TestClient {
  readonly id: string;
  readonly secret: string;
  readonly token: string;
}

export interface TestPlane {
  readonly config: DataPlaneConfig;
  readonly stores: Stores;
  readonly routing: Routing;
  readonly link: Link;
  readonly rootPem: string;
  /** As `biplane root rotate` does it. */
  readonly rotation: RootRotation;
  /** A program with this role. */
  client(role: string, scope?: AssignmentScope): Promise<TestClient>;
  /** Connect to the router; `headers` go with every request. */
  transport(token: string | undefined, headers?: Record<string, string>): Transport;
  audit(): Promise<AuditRecord[]>;
  /** For a further cluster, at the same control plane. */
  enrollCode(cluster: string): Promise<string>;
  /** For good. */
  stopControlPlane(): Promise<void>;
  close(): Promise<void>;
}

export interface TestPlaneOptions {
  /** Called once the plane is made, before it starts. */
  readonly prepare?: (paths: StatePaths, config: DataPlaneConfig) => Promise<void>;
  readonly extraAuthorityPem?: string;
  readonly org?: OrgId;
  /** One that others use as well; it stays theirs to close. */
  readonly control?: TestControlPlane;
  readonly databaseUrl?: string | undefined;
}

/** A port that was free may be somebody else's by the time it is listened on. */
const startsMax = 3;

export async function startTestPlane(wanted: TestPlaneOptions = {}, tries = startsMax): Promise<TestPlane> {
  const folder = await mkdtemp(join(tmpdir(), "biplane-plane-"));
  const closers = new Closers();
  closers.add({ close: () => rm(folder, { recursive: true, force: true }) });
  try {
    return await start(folder, closers, wanted);
  } catch (error) {
    await closers.close();
    if ((error as { code?: string }).code !== "EADDRINUSE" || tries <= 1) throw error;
    return startTestPlane(wanted, tries - 1);
  }
}

async function start(folder: string, closers: Closers, wanted: TestPlaneOptions): Promise<TestPlane> {
  const { org = testOrg, databaseUrl } = wanted;
  const control = wanted.control ?? (await startTestControlPlane({ folder: join(folder, "control") }));
  let stopping: Promise<void> | undefined;
  const stopControlPlane = () => (stopping ??= control.close());
  if (wanted.control === undefined) closers.add({ close: stopControlPlane });
  const state = join(folder, "data");
  const [router, authority, objects] = await Promise.all([freeAddress(), freeAddress(), freeAddress()]);
  await initialize({
    state,
    org,
    cluster: testCluster,
    enrollCode: await control.code(org, testCluster),
    region: "local",
    addresses: { router, authority, objects },
    databaseUrl,
    log,
  });
  const paths = statePaths(state);
  const config = await readConfig(paths.config);
  await wanted.prepare?.(paths, config);
  const systemKey = await readKeyFile(paths.systemKey);
  const present = (await readCertificates(paths.certificates, systemKey))!;
  const certificates = new OwnCertificates(paths.certificates, systemKey, present);
  const stores = await openStores(
    {
      options: { ...options(state), databaseUrl, extraAuthorityPem: wanted.extraAuthorityPem },
      ...{ paths, config, systemKey, certificates },
    },
    closers,
  );
  const link = closers.add(await openLink(paths.link, stores));
  await link.ready();
  const serving = closers.add(await ServingCertificate.issue(certificates.served, ["localhost"]));
  certificates.onChange((next) => serving.renewUnder(next.served));
  const { rootPem } = certificates;
  const { documents, members } = stores.identity;
  const place = { paths, systemKey, names: config, certificates };
  const rotation = new RootRotation({ ...place, documents, members, audit: stores.audit });
  const egress = new Egress();
  const parts = {
    ...{ config, stores, controlPlane: link, serving, certificates, egress, log },
    addressFrom: "peer",
  } as const;
  const routing = await createRouting(parts);
  await listenAll(routing, config, closers);
  const enrollCode = (cluster: string) => control.code(org, cluster);
  const close = () => closers.close();
  return assemble({ config, stores, routing, link, rootPem, rotation, enrollCode, stopControlPlane, close });
}

function assemble(parts: Omit<TestPlane, "client" | "transport" | "audit">): TestPlane {
  const { config, stores, rootPem } = parts;
  return {
    ...parts,
    client: async (role, scope = {}) => {
      const { subject, client } = prepareClient(`test ${role}`, Date.now());
      await stores.database.asOrg(config.org, async (transaction) => {
        await stores.identity.directory.add(transaction, subject, { role });
        await transaction
          .updateTable("identity_assignments")
          .set({ project_id: scope.project ?? "", domain_id: scope.domain ?? "" })
          .where("subject", "=", subject.subject)
          .execute();
      });
      await stores.identity.policy.reload();
      const id = client.clientId;
      const secret = client.clientSecret.reveal();
      return { id, secret, token: await requestToken(config.addresses.authority, rootPem, id, secret) };
    },
    transport: (token, headers = {}) =>
      createClientTransport({
        baseUrl: config.addresses.router,
        tls: { authorityPem: rootPem },
        interceptors: [withHeaders(token, headers)],
      }),
    audit: () => collect(stores.audit.readRecords()),
  };
}

export async function requestToken(
  authority: string,
  rootPem: string,
  id: string,
  secret: string,
): Promise<string> {
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
  const headers = { authorization, "content-type": "application/x-www-form-urlencoded" };
  const body = await new Promise<string>((resolve, reject) => {
    const outgoing = request(
      `${authority}/token`,
      { method: "POST", headers, ca: rootPem },
      async (response) => resolve(Buffer.concat(await collect<Buffer>(response)).toString()),
    );
    outgoing.on("error", reject);
    outgoing.end("grant_type=client_credentials");
  });
  return (JSON.parse(body) as { access_token: string }).access_token;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function withHeaders(token: string | undefined, headers: Record<string, string>): Interceptor {
  return (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
    return next(request);
  };
}

function options(state: string): DataPlaneOptions {
  return {
    state,
    databaseUrl: undefined,
    installation: { node: process.execPath, dist: "", taskModules: undefined },
    slots: undefined,
    sandboxes: undefined,
    allowUnsandboxed: false,
    listen: true,
    edge: undefined,
    documentMs: undefined,
    egress: new Egress(),
    softwareVersion: "test",
    log,
  };
}

function openLink(enrollmentFolder: string, stores: Stores): Promise<Link> {
  const { outbox, intents } = stores.runs;
  return startLink({
    enrollmentFolder,
    outbox,
    intents,
    records: createLinkRecords(stores.audit, stores.refusals),
    tokens: stores.identity.tokens,
    ledger: stores.ledger,
    documents: stores.identity.documents,
    hello: { routerAddress: "https://localhost:1", region: "local", softwareVersion: "test" },
    log,
  });
}

async function listenAll(routing: Routing, config: DataPlaneConfig, closers: Closers): Promise<void> {
  for (const [service, server] of Object.entries(routing.servers)) {
    const address = config.addresses[service as keyof Routing["servers"]];
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(Number(new URL(address).port), "localhost", resolve);
    });
    closers.add({ close: async () => void server.close() });
  }
}

async function freeAddress(): Promise<string> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "localhost", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return `https://localhost:${port}`;
}
