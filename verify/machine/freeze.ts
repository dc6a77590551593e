/**
 * Copies what a running process has on disk, as at one moment: the process is stopped while its files are read, as a
 * power cut would leave them, and goes on at once. However verify ends, the process goes on.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, lstatSync, readFileSync } from "node:fs";
import { sleep } from "@biplane/kit/backoff";

const stopMsMax = 5_000;

export async function whileFrozen<T>(pid: number, work: () => T | Promise<T>): Promise<T> {
  // Whoever holds the other end of its input: when that is gone, so is verify, and the process must go on.
  const guard = spawn("sh", ["-c", `read -r _; kill -CONT ${pid}`], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  const ended = once(guard, "exit");
  await once(guard, "spawn");
  process.kill(pid, "SIGSTOP");
  try {
    await untilStopped(pid);
    return await work();
  } finally {
    process.kill(pid, "SIGCONT");
    guard.stdin.end();
    await ended;
  }
}

async function untilStopped(pid: number): Promise<void> {
  for (const deadline = Date.now() + stopMsMax; ; ) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("T")) return;
    if (Date.now() > deadline) throw new Error(`Process ${pid} could not be stopped for a moment.`);
    await sleep(5);
  }
}

/** Files and folders; sockets and the like hold nothing. */
export function copyFolder(from: string, to: string): void {
  cpSync(from, to, {
    recursive: true,
    filter: (source) => {
      const entry = lstatSync(source, { throwIfNoEntry: false });
      return entry !== undefined && (entry.isFile() || entry.isDirectory());
    },
  });
}

export function frozenCopy(pid: number, from: string, to: string): Promise<void> {
  return whileFrozen(pid, () => copyFolder(from, to));
}
