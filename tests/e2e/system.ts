/**
 * A whole Biplane on this machine for tests: control plane, edge and data plane as separate processes from dist/, each
 * with its own state folder, reached as any client reaches them. Ports are free ones and stay the same over restarts.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Secret } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit";
import { connect, type RemoteClient } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { Daemon, runProgram } from "../support/daemon.ts";
import { missingTools } from "../support/find-tools.ts";
import type { PostgresServer } from "../support/postgres.ts";
import { redeemClaim, requestToken } from "./sign-in.ts";

export const org = "acme";
export const cluster = "home";
export const project = "flights";
export const domain = "development";

export interface SystemOptions {
  /** Both planes use databases of this server; PGlite otherwise. */
  readonly postgres?: PostgresServer;
  readonly slots?: number;
  /** For `biplane data start`, in addition. */
  readonly dataParameters?: readonly string[];
  /** Where the customer's keys are; files by default. */
  readonly keys?: object;
  /** Where the planes are declared to be, and where the data plane lets the control plane be. */
  readonly regions?: { readonly control?: string; readonly data?: string; readonly metadata?: string };
  /** What runs the data plane's program. */
  readonly dataWrapper?: readonly string[];
  readonly environment?: Record<string, string>;
  /** Of the link; a free one by default. */
  readonly linkPort?: number;
  /** For one program alone, in addition. */
  readonly environmentOf?: Partial<Record<"control" | "edge" | "data", Record<string, string>>>;
}

export interface Profile {
  readonly org: string;
  readonly cluster: string;
  readonly router: string;
  readonly authority: string;
  readonly objects: string;
  readonly rootPem: string;
}

export interface System extends AsyncDisposable {
  readonly folder: string;
  readonly control: Daemon;
  readonly edge: Daemon;
  readonly data: Daemon;
  /** Where the provider's two processes listen: the link, the tunnel, and the edge's public side by service. */
  readonly ports: Readonly<Record<"link" | "tunnel" | "router" | "authority" | "objects", number>>;
  readonly profile: Profile;
  readonly profilePath: string;
  readonly customerKeysFolder: string;
  readonly client: { readonly id: string; readonly secret: string };
  /** The SDK's client, signed in as the first administrator, working in the test project. */
  connect(): Promise<RemoteClient>;
  /** Connect to the router through the edge, signed in as the first administrator. */
  transport(): Transport;
  token(): Promise<string>;
  /** Environment for programs that find their cluster and credentials by it. */
  environment(): Record<string, string>;
  close(): Promise<void>;
}

interface Place {
  readonly host: string;
  readonly port: number;
}

export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const folder = mkdtempSync(join(tmpdir(), "biplane-system-"));
  try {
    return await startIn(folder, options);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(folder: string, options: SystemOptions): Promise<System> {
  const states = { control: join(folder, "control"), edge: join(folder, "edge"), data: join(folder, "data") };
  for (const state of Object.values(states)) mkdirSync(state, { mode: 0o700 });
  const control = await startControl(folder, states.control, options);
  const edge = await startEdge(folder, states, options);
  const data = await startData(folder, states, { ...control, ...edge }, options);
  const profilePath = join(states.data, "profile.json");
  const profile = JSON.parse(readFileSync(profilePath, "utf8")) as Profile;
  // The data plane is ready before its tunnel is: until then the edge closes connections at once.
  const client = await eventually(
    () => redeemClaim(profile, data.claim),
    () => true,
    { withinMs: reachableMsMax, what: "The authority being reached through the edge" },
  );
  const daemons = [data.daemon, edge.daemon, control.daemon];
  const tokens = cachedToken(() => requestToken(profile, client));
  const transport = () => signedInTransport(profile, tokens);
  await createProject(transport());
  const close = async () => {
    for (const daemon of daemons) await daemon.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    folder,
    control: control.daemon,
    edge: edge.daemon,
    data: data.daemon,
    ports: { link: control.port, ...edge.portOf() },
    profile,
    profilePath,
    customerKeysFolder: join(states.data, "keys", "customer"),
    client,
    connect: () =>
      connect({
        profile: profilePath,
        project,
        domain,
        clientId: client.id,
        clientSecret: new Secret(client.secret),
      }),
    transport,
    token: tokens,
    environment: () => ({
      BIPLANE_PROFILE: profilePath,
      BIPLANE_CLIENT_ID: client.id,
      BIPLANE_CLIENT_SECRET: client.secret,
      BIPLANE_PROJECT: project,
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function startControl(folder: string, state: string, options: SystemOptions) {
  const url = await options.postgres?.createDatabase();
  const environment = environmentOf("control", options, url);
  let port = options.linkPort ?? 0;
  const daemon = new Daemon({
    program: "control",
    parameters: () => [
      ...["start", "--state", state, "--listen", `127.0.0.1:${port}`],
      ...option("region", options.regions?.control),
    ],
    environment,
    logPath: join(folder, "control.log"),
  });
  const { link } = await daemon.start<{ link: Place }>();
  port = link.port;
  return { daemon, state, environment, port };
}

function environmentOf(
  program: "control" | "data",
  options: SystemOptions,
  url: string | undefined,
): Record<string, string> {
  const environment = { ...options.environment, ...options.environmentOf?.[program] };
  return url === undefined ? environment : { ...environment, BIPLANE_DATABASE_URL: url };
}

/** An edge that lets the public come to one cluster. */
export async function startEdge(
  folder: string,
  states: { readonly control: string; readonly edge: string },
  options: SystemOptions,
  name = cluster,
) {
  const state = states.edge;
  await runProgram("control", [
    "edge-identity",
    "--state",
    states.control,
    "--out",
    state,
    "--host",
    "localhost",
  ]);
  const services = ["router", "authority", "objects"];
  const ports = new Map<string, number>();
  const configPath = join(state, "edge.json");
  const writeConfig = () => {
    const listeners = services.map((service) => ({
      name: service,
      port: ports.get(service) ?? 0,
      tunnel: `${service}.${name}.${org}.tunnel.biplane.internal`,
    }));
    writeFileSync(
      configPath,
      JSON.stringify({ tunnel: { port: ports.get("tunnel") ?? 0 }, listeners, drainMs: 500 }),
    );
  };
  writeConfig();
  const daemon = new Daemon({
    program: "edge",
    parameters: () => ["--state", state, "--config", configPath],
    ...(options.environmentOf?.edge === undefined ? {} : { environment: options.environmentOf.edge }),
    logPath: join(folder, `${basename(state)}.log`),
  });
  const ready = await daemon.start<{ tunnel: Place; listeners: (Place & { name: string })[] }>();
  ports.set("tunnel", ready.tunnel.port);
  for (const listener of ready.listeners) ports.set(listener.name, listener.port);
  writeConfig();
  const portOf = () => ({
    tunnel: ports.get("tunnel")!,
    router: ports.get("router")!,
    authority: ports.get("authority")!,
    objects: ports.get("objects")!,
  });
  return { daemon, ports, portOf };
}

async function startData(
  folder: string,
  states: { readonly data: string },
  neighbours: { state: string; environment: Record<string, string>; ports: Map<string, number> },
  options: SystemOptions,
) {
  const state = states.data;
  const address = (name: string) => `localhost:${neighbours.ports.get(name)}`;
  const { code } = await runProgram<{ code: string }>(
    "control",
    [
      "enroll-code",
      "--state",
      neighbours.state,
      "--org",
      org,
      "--cluster",
      cluster,
      "--edge-address",
      address("tunnel"),
    ],
    neighbours.environment,
  );
  const url = await options.postgres?.createDatabase();
  const environment = environmentOf("data", options, url);
  const places = ["router", "authority", "objects"].flatMap((name) => [
    `--${name}`,
    `https://${address(name)}`,
  ]);
  const { claim } = await runProgram<{ claim: string }>(
    "data",
    [
      ...["init", "--state", state, "--org", org, "--cluster", cluster, "--enroll-code", code, ...places],
      ...keyParameters(folder, options),
      ...option("region", options.regions?.data),
      ...option("metadata-region", options.regions?.metadata),
    ],
    environment,
  );
  const daemon = new Daemon({
    program: "data",
    parameters: () => [
      ...["start", "--state", state, ...(options.dataParameters ?? [])],
      ...(options.slots === undefined ? [] : ["--slots", String(options.slots)]),
      // A machine without bubblewrap can run all but what is about the sandbox; those tests ask for the tool themselves.
      ...(missingTools(["bubblewrap"]) === undefined ? [] : ["--allow-unsandboxed"]),
    ],
    environment,
    ...(options.dataWrapper === undefined ? {} : { wrapper: options.dataWrapper }),
    logPath: join(folder, "data.log"),
  });
  await daemon.start();
  return { daemon, claim };
}

function option(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`--${name}`, value];
}

function keyParameters(folder: string, { keys }: SystemOptions): string[] {
  if (keys === undefined) return [];
  const path = join(folder, "keys.json");
  writeFileSync(path, JSON.stringify(keys));
  return ["--keys", path];
}

function signedInTransport(profile: Profile, token: () => Promise<string>): Transport {
  const signIn: Interceptor = (next) => async (request) => {
    request.header.set("authorization", `Bearer ${await token()}`);
    return next(request);
  };
  const tls = { authorityPem: profile.rootPem };
  return createClientTransport({ baseUrl: profile.router, tls, interceptors: [signIn] });
}

const reachableMsMax = 30_000;

/** The project can be made once the control plane answers over the link. */
async function createProject(transport: Transport): Promise<void> {
  const projects = createClient(flyte.project.ProjectService, transport);
  await eventually(
    () => projects.createProject({ project: { id: project, name: "Flights", org } }),
    () => true,
    { withinMs: reachableMsMax, what: "The project being created" },
  );
}

/** Tokens last 15 minutes; one is kept for ten. */
function cachedToken(request: () => Promise<string>): () => Promise<string> {
  let current: Promise<string> | undefined;
  let until = 0;
  return () => {
    if (current === undefined || Date.now() > until) {
      until = Date.now() + 10 * 60_000;
      current = request();
      current.catch(() => {
        current = undefined;
      });
    }
    return current;
  };
}
