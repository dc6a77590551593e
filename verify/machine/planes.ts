/** Finds the processes of a running installation by what the machine says of them: program, state folder, logs. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Profile } from "@biplane/sdk/remote";
import { listeners } from "./listeners.ts";
import { descendants } from "./process-tree.ts";

export const planeNames = ["control", "edge", "data"] as const;
export type PlaneName = (typeof planeNames)[number];

export interface PlaneProcess {
  readonly name: PlaneName;
  readonly pid: number;
  /** The program's file. */
  readonly program: string;
  readonly state: string;
  /** Where its standard error goes, as far as that is a file. */
  readonly logs: readonly string[];
  /** Where it is given one. */
  readonly databaseUrl: string | undefined;
}

export type Planes = Readonly<Record<PlaneName, PlaneProcess>>;

/** The data plane that made the profile, and the two provider's processes that belong to it. */
export function findPlanes({ rootPem }: Profile): Planes | undefined {
  const all = readdirSync("/proc")
    .map(Number)
    .filter(Number.isInteger)
    .flatMap((pid) => planeOf(pid) ?? []);
  const data = all.find((one) => one.name === "data" && rootOf(one.state) === rootPem);
  if (data === undefined) return undefined;
  const neighbour = (name: PlaneName) =>
    all.find((one) => one.name === name && dirname(one.state) === dirname(data.state));
  const [control, edge] = [neighbour("control"), neighbour("edge")];
  return control === undefined || edge === undefined ? undefined : { control, edge, data };
}

function planeOf(pid: number): PlaneProcess | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    const at = words.findIndex((word) => planeNames.some((name) => basename(word) === `${name}.mjs`));
    const stateAt = words.indexOf("--state");
    if (at === -1 || stateAt === -1) return undefined;
    // An errand of the program opens the state for a moment and is no plane.
    const name = basename(words[at]!, ".mjs") as PlaneName;
    if (name !== "edge" && words[at + 1] !== "start") return undefined;
    const folder = readlinkSync(`/proc/${pid}/cwd`);
    const state = resolve(folder, words[stateAt + 1]!);
    const program = resolve(folder, words[at]!);
    return { name, pid, program, state, logs: logsOf(pid, name, state), databaseUrl: databaseUrlOf(pid) };
  } catch {
    // It has ended meanwhile, or is somebody else's.
    return undefined;
  }
}

function logsOf(pid: number, name: PlaneName, state: string): string[] {
  const base = dirname(state);
  const usual = [join(base, "logs", `${name}.log`), join(base, `${name}.log`)];
  const direct = readlinkSync(`/proc/${pid}/fd/2`);
  const isFile = direct.startsWith("/") && existsSync(direct) && statSync(direct).isFile();
  return [...new Set([...(isFile ? [direct] : []), ...usual.filter((path) => existsSync(path))])];
}

function databaseUrlOf(pid: number): string | undefined {
  const prefix = "BIPLANE_DATABASE_URL=";
  const found = readFileSync(`/proc/${pid}/environ`, "utf8")
    .split("\0")
    .find((one) => one.startsWith(prefix));
  return found === undefined || found === prefix ? undefined : found.slice(prefix.length);
}

function rootOf(state: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(state, "profile.json"), "utf8")) as Profile).rootPem;
  } catch {
    return undefined;
  }
}

export interface Listener {
  /** Plane, or the process beside it. */
  readonly owner: string;
  readonly port: number;
}

/**
 * Of processes and of all that they have started in the same network: what listens inside a sandbox, which has a network
 * of its own, nobody outside can reach.
 */
export function listenersOf(
  processes: readonly { readonly name: string; readonly pid: number }[],
): Listener[] {
  return processes.flatMap(({ name, pid }) => {
    const network = networkOf(pid);
    const children = descendants(pid)
      .filter((child) => networkOf(child.pid) === network)
      .map((child) => ({ owner: `${name}'s process ${child.pid}`, pid: child.pid }));
    return [{ owner: name, pid }, ...children].flatMap((one) =>
      portsIfAlive(one.pid).map((port) => ({ owner: one.owner, port })),
    );
  });
}

function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** A child that has ended in between listens on nothing. */
function portsIfAlive(pid: number): number[] {
  try {
    return listeners(pid);
  } catch {
    return [];
  }
}
