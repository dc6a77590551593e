/** Reads what a process has in memory and in files that it holds open, as someone with its machine could. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";

const chunkBytes = 32 * 1024 * 1024;
/** Chunks overlap by more than the longest form of a canary, so that none is cut in two. */
const overlapBytes = 4_096;

export interface MemoryChunk {
  readonly where: string;
  readonly bytes: Buffer;
}

/** Every readable private or writable range; mapped program files are the same for everyone and are left out. */
export function* readMemory(pid: number): Generator<MemoryChunk> {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const { start, end, name } of ranges(pid)) {
      for (let at = start; at < end; at += chunkBytes - overlapBytes) {
        const bytes = readAt(memory, at, Math.min(chunkBytes, end - at));
        if (bytes !== undefined) yield { where: `memory of ${pid} at ${at.toString(16)} ${name}`, bytes };
      }
    }
  } finally {
    closeSync(memory);
  }
}

function ranges(pid: number): { start: number; end: number; name: string }[] {
  return readFileSync(`/proc/${pid}/maps`, "utf8")
    .trim()
    .split("\n")
    .flatMap((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line);
      if (match === null) return [];
      const [, start, end, mode, name] = match;
      if (!mode!.startsWith("r") || !mode!.includes("w") || name === "[vvar]" || name === "[vsyscall]")
        return [];
      return [{ start: Number.parseInt(start!, 16), end: Number.parseInt(end!, 16), name: name! }];
    });
}

function readAt(memory: number, at: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  try {
    return bytes.subarray(0, readSync(memory, bytes, 0, length, at));
  } catch {
    // The range went away, or has no page behind it.
    return undefined;
  }
}

/** Contents of files that the process holds open although they were deleted. */
export function* readDeletedFiles(pid: number): Generator<MemoryChunk> {
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${descriptor}`;
    try {
      if (!readlinkSync(path).endsWith(" (deleted)")) continue;
      yield { where: `deleted file ${readlinkSync(path)} of ${pid}`, bytes: readFileSync(path) };
    } catch {
      // Closed in the meantime, or a socket.
    }
  }
}

/** Resident memory in bytes that is the process's own; the kernel's file cache is not in it. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status does not tell RssAnon.`);
  return Number(kilobytes) * 1024;
}
