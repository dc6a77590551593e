/** What runs below a process, read from /proc. */
import { readdirSync, readFileSync } from "node:fs";

const processesMax = 10_000;

/** Children of the process; empty once it has ended. */
export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** False for a process that ended and only waits to be reaped. */
export function stillRuns(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** The process and everything below it. A daemon stays in the tree: its parent is the sandbox's first process. */
export function processTree(pid: number): number[] {
  const found = [pid];
  for (let at = 0; at < found.length && found.length < processesMax; at += 1)
    found.push(...childrenOf(found[at]!));
  return found;
}

/** The program's name; empty once it has ended. */
export function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim();
  } catch {
    return "";
  }
}

/** Memory of the tree that is not shared with files, in bytes. */
export function residentBytes(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + privateBytes(one), 0);
}

function privateBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return 1024 * (kibibytes(status, "RssAnon") + kibibytes(status, "RssShmem"));
  } catch {
    return 0;
  }
}

function kibibytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
}
