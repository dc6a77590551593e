/** Watches which files a process forces to the disk, and when, from outside of it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export interface Sync {
  /** By the wall clock, with the fraction of a millisecond. */
  readonly atMs: number;
  readonly path: string;
}

export interface SyncWatch {
  readonly syncs: readonly Sync[];
  stop(): Promise<void>;
}

const attachMsMax = 10_000;

/** Resolves when strace has attached to all threads. Threads that start later are followed. */
export async function watchSyncs(pid: number): Promise<SyncWatch> {
  const parameters = ["-f", "-y", "-ttt", "-e", "trace=fsync,fdatasync", "-p", String(pid)];
  const child = spawn("strace", parameters, { stdio: ["ignore", "ignore", "pipe"] });
  const syncs: Sync[] = [];
  const lines = createInterface({ input: child.stderr });
  const attached = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`strace did not attach to ${pid}.`)), attachMsMax);
    child.once("exit", (code) => reject(new Error(`strace ended with ${code}.`)));
    lines.on("line", (line) => {
      const call = /(\d+\.\d+) f(?:data)?sync\(\d+<([^>]+)>/.exec(line);
      if (call !== null) syncs.push({ atMs: Number(call[1]) * 1_000, path: call[2]! });
      if (!/attached/.test(line)) return;
      clearTimeout(timer);
      resolve();
    });
  });
  await attached;
  return {
    syncs,
    stop: async () => {
      const ended = once(child, "exit");
      child.kill("SIGINT");
      await ended;
    },
  };
}
