/**
 * Control groups below the one that this process is in, v1 or v2, where they can be written. Each sandbox gets one per
 * controller; limits can be changed while it runs.
 */
import { randomBytes } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { ResourceLimits } from "./types.ts";

const controllers = ["memory", "pids", "cpu"] as const;
type Controller = (typeof controllers)[number];

interface Hierarchy {
  readonly version: 1 | 2;
  /** Folder of the group that this process is in. */
  readonly folder: string;
  readonly controllers: ReadonlySet<Controller>;
}

interface Files {
  readonly v1: string;
  readonly v2: string;
}

const pidsFiles = { v1: "pids.max", v2: "pids.max" };
const shareFiles = { v1: "cpu.shares", v2: "cpu.weight" };
const cpuPeriodMicroseconds = 100_000;

export class Cgroups {
  readonly #hierarchies: readonly Hierarchy[];
  /** Groups of an earlier executor of this process may not be gone yet. */
  readonly #prefix = `biplane-${process.pid}-${randomBytes(3).toString("hex")}-`;
  #count = 0;

  private constructor(hierarchies: readonly Hierarchy[]) {
    this.#hierarchies = hierarchies;
  }

  static detect(): Cgroups {
    const found = readHierarchies().filter((one) => isWritable(one.folder));
    for (const { folder } of found) removeLeftovers(folder);
    return new Cgroups(found.map(narrowToUsable).filter((one) => one.controllers.size > 0));
  }

  has(controller: Controller): boolean {
    return this.#hierarchies.some((one) => one.controllers.has(controller));
  }

  /** A group that has still to be made. */
  next(): Cgroup {
    this.#count += 1;
    const name = `${this.#prefix}${this.#count}`;
    return new Cgroup(this.#hierarchies.map((one) => ({ ...one, folder: join(one.folder, name) })));
  }
}

export class Cgroup {
  readonly #parts: readonly Hierarchy[];
  /** By file, what was written last: a worker that is used again has its limits already. */
  readonly #written = new Map<string, string>();
  #killsBefore = 0;

  constructor(parts: readonly Hierarchy[]) {
    this.#parts = parts;
  }

  get folders(): readonly string[] {
    return this.#parts.map((one) => one.folder);
  }

  /** Files and what to write into them once the group's folders are made. `background`: an eighth of the usual share. */
  firstSettings(processesMax: number, background: boolean): [string, string][] {
    const settings = [this.#setting("pids", pidsFiles, String(processesMax))];
    if (background) settings.push(this.#setting("cpu", shareFiles, "128", "12"));
    return settings.filter((one) => one !== undefined);
  }

  takeFullShare(): void {
    this.#write("cpu", shareFiles, "1024", "100");
  }

  apply(limits: ResourceLimits): void {
    this.#killsBefore = this.#oomKills();
    const memory = limits.memoryBytes === undefined ? undefined : String(limits.memoryBytes);
    this.#write("memory", { v1: "memory.limit_in_bytes", v2: "memory.max" }, memory ?? "-1", memory ?? "max");
    const quota =
      limits.cpus === undefined
        ? undefined
        : Math.max(1_000, Math.round(limits.cpus * cpuPeriodMicroseconds));
    const v2Quota = `${quota ?? "max"} ${cpuPeriodMicroseconds}`;
    this.#write("cpu", { v1: "cpu.cfs_quota_us", v2: "cpu.max" }, String(quota ?? -1), v2Quota);
  }

  /** Whether the kernel ended a process of the group for want of memory since the limits were applied. */
  get memoryExceeded(): boolean {
    return this.#oomKills() > this.#killsBefore;
  }

  /** How many processes are in it; undefined where there is no group that could tell. */
  processCount(): number | undefined {
    const [part] = this.#parts;
    const listed = part === undefined ? "" : readIfAny(join(part.folder, "cgroup.procs"));
    return listed === "" ? undefined : listed.trimEnd().split("\n").length;
  }

  #write(controller: Controller, files: Files, v1: string, v2 = v1): void {
    const setting = this.#setting(controller, files, v1, v2);
    if (setting === undefined || this.#written.get(setting[0]) === setting[1]) return;
    writeFileSync(...setting);
    this.#written.set(...setting);
  }

  #setting(controller: Controller, files: Files, v1: string, v2 = v1): [string, string] | undefined {
    const part = this.#parts.find((one) => one.controllers.has(controller));
    if (part === undefined) return undefined;
    return part.version === 1 ? [join(part.folder, files.v1), v1] : [join(part.folder, files.v2), v2];
  }

  #oomKills(): number {
    const part = this.#parts.find((one) => one.controllers.has("memory"));
    if (part === undefined) return 0;
    const file = part.version === 1 ? "memory.oom_control" : "memory.events";
    return Number(/^oom_kill (\d+)$/m.exec(readIfAny(join(part.folder, file)))?.[1] ?? 0);
  }
}

/** /proc/self/cgroup names the groups, /proc/self/mountinfo where their hierarchies are mounted. */
function readHierarchies(): Hierarchy[] {
  const mounts = readIfAny("/proc/self/mountinfo").split("\n").map(parseMount);
  return readIfAny("/proc/self/cgroup")
    .split("\n")
    .flatMap((line) => {
      const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (names === undefined || path === undefined) return [];
      const mount = mounts.find((one) =>
        one?.options.includes(names === "" ? "cgroup2" : names.split(",")[0]!),
      );
      if (mount === undefined) return [];
      const below = path.startsWith(mount.root) && mount.root !== "/" ? path.slice(mount.root.length) : path;
      const listed = names === "" ? controllers : controllers.filter((one) => names.split(",").includes(one));
      const version: 1 | 2 = names === "" ? 2 : 1;
      return [{ version, folder: join(mount.point, below), controllers: new Set(listed) }];
    });
}

function parseMount(line: string): { root: string; point: string; options: string[] } | undefined {
  const match = /^\d+ \d+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)$/.exec(line);
  if (match === null) return undefined;
  return { root: match[1]!, point: match[2]!, options: [match[3]!, ...match[4]!.split(",")] };
}

/** Keeps what a group made here really has: v2 gives controllers to groups whose parent passes them on only. */
function narrowToUsable(hierarchy: Hierarchy): Hierarchy {
  const probe = join(hierarchy.folder, `biplane-${process.pid}-probe`);
  try {
    mkdirSync(probe);
    const files = new Set(readdirSync(probe));
    const marks = {
      memory: ["memory.limit_in_bytes", "memory.max"],
      pids: ["pids.max"],
      cpu: ["cpu.cfs_quota_us", "cpu.max"],
    };
    const usable = [...hierarchy.controllers].filter((one) => marks[one].some((file) => files.has(file)));
    return { ...hierarchy, controllers: new Set(usable) };
  } catch {
    return { ...hierarchy, controllers: new Set() };
  } finally {
    tryRemove(probe);
  }
}

/** Groups of a process that was killed. One that lives may have made a group that nothing has entered yet. */
function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, pid] = /^biplane-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) tryRemove(join(folder, name));
  }
}

function tryRemove(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // In use by another process, or gone already.
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function readIfAny(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
