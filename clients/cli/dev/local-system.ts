/**
 * Both planes and the edge on one machine, as three processes with three state folders: the same boundaries as in
 * production. Made on the first start, found again on later ones.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { sleep } from "@biplane/kit/backoff";
import { KnownServers, PinnedHttp, type Profile, readProfile } from "@biplane/sdk/remote";
import { writeEdgeConfig, writeEdgeIdentity } from "./edge-state.ts";
import { PlaneProcess, runErrand } from "./plane-process.ts";
import {
  choosePorts,
  type LocalSettings,
  type Ports,
  readSettings,
  requireKeptPorts,
  services,
  writeSettings,
} from "./settings.ts";

export interface LocalSystemOptions {
  readonly folder: string;
  readonly org?: string;
  readonly cluster?: string;
  readonly portBase?: number;
  readonly slots?: number;
  /** Tasks run without a sandbox where none can be made. */
  readonly allowUnsandboxed?: boolean;
  /** PostgreSQL instead of the embedded databases. */
  readonly controlDatabaseUrl?: string;
  readonly dataDatabaseUrl?: string;
  /** For one program alone. */
  readonly environmentOf?: Readonly<
    Partial<Record<"control" | "edge" | "data", Readonly<Record<string, string>>>>
  >;
  /** Asked of an installation that is there already: whether there is to be a claim again. */
  readonly needsClaim?: (profile: Profile) => Promise<boolean>;
  /** Called once the data plane was made, before its first start. */
  readonly prepareData?: (state: string) => Promise<void>;
  readonly onProgress?: (text: string) => void;
}

export interface LocalSystem {
  readonly profile: Profile;
  readonly profilePath: string;
  readonly folders: Readonly<Record<"control" | "edge" | "data" | "logs", string>>;
  readonly processes: readonly PlaneProcess[];
  /** Makes an administrator; present on the first start, and where a new one was wanted. */
  readonly claim: string | undefined;
  readonly claimUrl: string | undefined;
  /** How tasks are kept apart on this machine. */
  readonly sandbox: "bubblewrap" | "none";
  close(): Promise<void>;
}

/** Resolves at the first Ctrl-C or other request to end; a second one ends this process, and the planes, at once. */
export function untilAskedToEnd(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of endingSignals) {
      process.once(name, () => {
        for (const other of endingSignals) process.on(other, () => process.exit(interruptedExitCode));
        resolve();
      });
    }
  });
}

const reachableMsMax = 30_000;
const interruptedExitCode = 130;
/** The edge first: it ends the connections of clients, which the data plane would wait for. */
const stopOrder = ["edge", "data", "control"] as const;
const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export async function startLocalSystem(options: LocalSystemOptions): Promise<LocalSystem> {
  const started: PlaneProcess[] = [];
  const close = async () => {
    for (const name of stopOrder) for (const plane of started) if (plane.name === name) await plane.stop();
  };
  const giveUp = () => process.exit(interruptedExitCode);
  for (const name of endingSignals) process.on(name, giveUp);
  try {
    return { ...(await start(options, started)), processes: started, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    for (const name of endingSignals) process.off(name, giveUp);
  }
}

async function start(options: LocalSystemOptions, started: PlaneProcess[]) {
  const { folder, onProgress } = options;
  const folders = await makeFolders(folder);
  const settings = await loadSettings(options);
  const profilePath = join(folders.data, "profile.json");
  onProgress?.("control plane");
  await launch(started, controlOptions(options, folders, settings.ports));
  onProgress?.("edge and data plane");
  const isNew = !existsSync(profilePath);
  const [claim] = await Promise.all([
    isNew
      ? initializeData(options, folders, settings)
      : claimAgain(options, folders.data, await readProfile(profilePath)),
    startEdge(options, started, folders, settings),
  ]);
  if (isNew) await options.prepareData?.(folders.data);
  const { sandbox } = await launch<{ sandbox: LocalSystem["sandbox"] }>(
    started,
    dataOptions(options, folders),
  );
  const profile = await readProfile(profilePath);
  onProgress?.("tunnel and link");
  await untilReachable(profile, started);
  return { profile, profilePath, folders, sandbox, claim: claim?.claim, claimUrl: claim?.claimUrl };
}

type Folders = LocalSystem["folders"];

async function makeFolders(folder: string): Promise<Folders> {
  const folders = {
    control: join(folder, "control"),
    edge: join(folder, "edge"),
    data: join(folder, "data"),
    logs: join(folder, "logs"),
  };
  for (const path of [folder, ...Object.values(folders)]) await mkdir(path, { recursive: true, mode: 0o700 });
  return folders;
}

async function loadSettings(options: LocalSystemOptions): Promise<LocalSettings> {
  const { folder, portBase, org = "local", cluster = "home" } = options;
  const known = await readSettings(folder);
  if (known !== undefined) {
    await requireKeptPorts(folder, known.ports, portBase);
    return known;
  }
  const settings = { org, cluster, ports: await choosePorts(portBase) };
  await writeSettings(folder, settings);
  return settings;
}

async function launch<Ready extends object>(
  started: PlaneProcess[],
  options: ConstructorParameters<typeof PlaneProcess>[0],
): Promise<Ready> {
  const plane = new PlaneProcess(options);
  started.push(plane);
  return plane.ready<Ready>();
}

function logOf(folders: Folders, name: string): string {
  return join(folders.logs, `${name}.log`);
}

function controlOptions(options: LocalSystemOptions, folders: Folders, ports: Ports) {
  const addresses = services.flatMap((name) => ["--public-address", `${name}=localhost:${ports[name]}`]);
  return {
    program: "control" as const,
    parameters: [
      ...["start", "--state", folders.control, "--listen", `127.0.0.1:${ports.link}`],
      ...["--advertise", `localhost:${ports.link}`, "--edge-address", `localhost:${ports.tunnel}`],
      ...addresses,
    ],
    logPath: logOf(folders, "control"),
    environment: { ...options.environmentOf?.control, ...databaseEnvironment(options.controlDatabaseUrl) },
  };
}

function databaseEnvironment(url: string | undefined): Readonly<Record<string, string>> {
  return url === undefined ? {} : { BIPLANE_DATABASE_URL: url };
}

async function startEdge(
  options: LocalSystemOptions,
  started: PlaneProcess[],
  folders: Folders,
  settings: LocalSettings,
): Promise<void> {
  await prepareEdge(folders, settings);
  await launch(started, {
    program: "edge",
    parameters: ["--state", folders.edge],
    logPath: logOf(folders, "edge"),
    environment: { ...options.environmentOf?.edge },
  });
}

async function prepareEdge(folders: Folders, { org, cluster, ports }: LocalSettings): Promise<void> {
  const { control, edge } = folders;
  if (!existsSync(join(edge, "identity.crt"))) await writeEdgeIdentity(control, edge);
  await writeEdgeConfig({ folder: edge, org, cluster, ports });
}

interface Claim {
  readonly claim: string;
  readonly claimUrl: string;
}

async function claimAgain(options: LocalSystemOptions, state: string, profile: Profile) {
  if (!(await options.needsClaim?.(profile))) return undefined;
  return runErrand<Claim>("data", ["init", "--new-claim", "--state", state], dataEnvironment(options));
}

function dataEnvironment(options: LocalSystemOptions): Readonly<Record<string, string>> {
  return { ...options.environmentOf?.data, ...databaseEnvironment(options.dataDatabaseUrl) };
}

async function initializeData(options: LocalSystemOptions, folders: Folders, settings: LocalSettings) {
  const { org, cluster, ports } = settings;
  const { code } = await runErrand<{ code: string }>("control", [
    ...["enroll-code", "--state", folders.control, "--org", org, "--cluster", cluster],
  ]);
  const addresses = services.flatMap((name) => [`--${name}`, `https://localhost:${ports[name]}`]);
  return runErrand<Claim>(
    "data",
    [
      ...["init", "--state", folders.data, "--org", org, "--cluster", cluster, "--enroll-code", code],
      ...addresses,
    ],
    dataEnvironment(options),
  );
}

function dataOptions(options: LocalSystemOptions, folders: Folders) {
  return {
    program: "data" as const,
    parameters: [
      ...["start", "--state", folders.data],
      ...(options.slots === undefined ? [] : ["--slots", String(options.slots)]),
      ...(options.allowUnsandboxed === true ? ["--allow-unsandboxed"] : []),
    ],
    logPath: logOf(folders, "data"),
    environment: dataEnvironment(options),
  };
}

/** Through the edge and the tunnel, as any client comes. */
async function untilReachable(profile: Profile, started: readonly PlaneProcess[]): Promise<void> {
  const http = new PinnedHttp(new KnownServers(profile));
  const deadline = Date.now() + reachableMsMax;
  let last: unknown;
  try {
    while (Date.now() < deadline) {
      try {
        const response = await http.send(`${profile.router}/healthz`, { method: "GET" });
        await http.text(response);
        if (response.status === 200) return;
        last = new Error(`HTTP ${response.status}`);
      } catch (error) {
        last = error;
      }
      await sleep(50);
    }
  } finally {
    http.close();
  }
  const logs = started.map((plane) => plane.logPath).join(", ");
  throw new BiplaneError(
    "unavailable",
    {
      what: "The data plane runs, but its router can't be reached through the edge.",
      next: `Look into ${logs}.`,
    },
    { cause: last },
  );
}
