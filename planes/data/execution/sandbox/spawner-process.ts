/**
 * A small process that starts the sandboxes. To start one the kernel copies the page tables of the process that asks,
 * which takes milliseconds in a large data plane, and nothing in a process that holds nothing. It imports no module of
 * ours but two without imports, so that it stays small. It ends with the data plane, and everything it started with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmdirSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { stillRuns } from "./process-tree.ts";
import {
  encodeStreamHeader,
  type FromSpawner,
  type StartRequest,
  type ToSpawner,
} from "./spawner-protocol.ts";

/** Enters the groups first, so that nothing the task starts is ever outside them; the control socket comes as stdin. */
const enterGroups =
  'exec 3<&0 0</dev/null; while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"';
const endMsMax = 5_000;
const lettingGoMs = 500;

interface Running {
  readonly child: ChildProcess;
  readonly ownGroup: boolean;
  readonly folders: readonly string[];
}

const running = new Map<number, Running>();
/** Groups that the kernel did not let go of at once. */
const leftFolders = new Set<string>();

process.on("message", (message: ToSpawner) => {
  if ("start" in message) void start(message.id, message.start);
  else if ("kill" in message) running.get(message.id)?.child.kill("SIGKILL");
  else removeGroups(message.remove);
});
// The data plane is gone: what it started goes as well, and the groups with it.
process.on("disconnect", () => {
  for (const { child, ownGroup } of running.values()) {
    child.kill("SIGKILL");
    if (ownGroup) tryKillGroup(child.pid);
  }
  void leave();
});
// Signals of a terminal go to every process of it: the data plane decides when its tasks end.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

/** Sandboxes that did not end until then die with this process, their parent. */
async function leave(): Promise<void> {
  const isBusy = () => running.size > 0 || leftFolders.size > 0;
  for (let waitedMs = 0; isBusy() && waitedMs < endMsMax; waitedMs += 10) await delay(10);
  process.exit(0);
}

function tell(message: FromSpawner): void {
  process.send?.(message, undefined, undefined, () => {});
}

async function start(id: number, request: StartRequest): Promise<void> {
  const sockets: Socket[] = [];
  try {
    for (const stream of ["stdout", "stderr", "control"] as const) {
      if (stream === "control" && !request.control) continue;
      sockets.push(await dial(request.socketPath, encodeStreamHeader(id, stream)));
    }
    for (const folder of request.groups.folders) mkdirSync(folder);
    for (const [path, value] of request.groups.settings) writeFileSync(path, value);
    const child = spawnWith(request, sockets);
    const sandbox = { child, ownGroup: request.ownGroup, folders: request.groups.folders };
    running.set(id, sandbox);
    follow(id, sandbox);
    tell({ id, started: { pid: child.pid } });
  } catch (error) {
    removeGroups(request.groups.folders);
    tell({ id, failed: (error as Error).message });
  } finally {
    // The child has its own copies: read here, its output would be lost.
    for (const socket of sockets) socket.destroy();
  }
}

function dial(path: string, header: Uint8Array): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("error", reject);
    socket.write(header, () => resolve(socket));
  });
}

function spawnWith(request: StartRequest, [stdout, stderr, control]: readonly Socket[]): ChildProcess {
  const { argv, environment, ownGroup, filter, groups } = request;
  // Opened anew each time: whoever reads a shared one leaves nothing for the next.
  const filterFile = filter === undefined ? undefined : openSync(filter, "r");
  const information = ownGroup ? "ignore" : "pipe";
  try {
    return spawn("/bin/sh", ["-c", enterGroups, "sh", ...groups.folders, "--", ...argv], {
      env: environment,
      stdio: [control ?? "ignore", stdout!, stderr!, "ignore", information, filterFile ?? "ignore"],
      detached: ownGroup,
    });
  } finally {
    if (filterFile !== undefined) closeSync(filterFile);
  }
}

function follow(id: number, { child, ownGroup, folders }: Running): void {
  const first = ownGroup ? Promise.resolve(undefined) : readFirstProcess(child.stdio[4] as Readable);
  const finish = async (exitCode: number | undefined, signal: string | undefined) => {
    if (ownGroup) tryKillGroup(child.pid);
    const pid = await first;
    if (pid !== undefined) await gone(pid);
    running.delete(id);
    if (process.connected) tell({ id, ended: { exitCode, signal } });
    else removeGroups(folders);
  };
  child.once("error", () => void finish(undefined, "SIGKILL"));
  child.once("exit", (code, signal) => void finish(code ?? undefined, signal ?? undefined));
}

/** bubblewrap tells the namespace's first process on this descriptor; with it everything inside ends. */
async function readFirstProcess(information: Readable): Promise<number | undefined> {
  try {
    const { "child-pid": pid } = JSON.parse(await text(information)) as { "child-pid"?: number };
    return pid;
  } catch {
    // It ended before it made a namespace.
    return undefined;
  }
}

/** bubblewrap itself is gone a moment before the kernel has ended what it started. */
async function gone(pid: number): Promise<void> {
  for (let waitedMs = 0; stillRuns(pid) && waitedMs < endMsMax; waitedMs += 2) await delay(2);
}

function tryKillGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // Ended already.
  }
}

/** A group that the kernel still holds goes a moment later, or at the plane's next start. */
function removeGroups(folders: readonly string[]): void {
  for (const folder of folders) {
    if (tryRemove(folder)) continue;
    leftFolders.add(folder);
    setTimeout(() => {
      tryRemove(folder);
      leftFolders.delete(folder);
    }, lettingGoMs);
  }
}

function tryRemove(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
