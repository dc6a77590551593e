/** Where a canary can be on a machine: files of a folder, and a process's memory and open files. Linux. */
import { createReadStream } from "node:fs";
import { open, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@biplane/base";
import type { CanaryForm } from "./forms.ts";
import { type Sighting, searchBytes } from "./search-bytes.ts";

const windowBytes = 8 * MiB;

/** Every regular file below the folder. */
export async function searchFolder(folder: string, forms: readonly CanaryForm[]): Promise<Sighting[]> {
  const sightings: Sighting[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sightings.push(...searchBytes(Buffer.from(path), forms, `name of ${path}`));
    sightings.push(...(await searchFile(path, forms, path)));
  }
  return sightings;
}

/** One file in windows that overlap by the longest form, so that none is cut in two. */
export async function searchFile(
  path: string,
  forms: readonly CanaryForm[],
  place: string,
): Promise<Sighting[]> {
  const overlap = Math.max(...forms.map((form) => form.bytes.length));
  const sightings: Sighting[] = [];
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: windowBytes })) {
      const window = Buffer.concat([rest, chunk as Buffer]);
      sightings.push(...searchBytes(window, forms, place));
      rest = window.subarray(Math.max(0, window.length - overlap));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return unique(sightings);
}

/** The process's writable memory, and files that it holds open though their names are gone. */
export async function searchProcess(pid: number, forms: readonly CanaryForm[]): Promise<Sighting[]> {
  return unique([...(await searchMemory(pid, forms)), ...(await searchDeletedFiles(pid, forms))]);
}

async function searchMemory(pid: number, forms: readonly CanaryForm[]): Promise<Sighting[]> {
  const overlap = Math.max(...forms.map((form) => form.bytes.length));
  const memory = await open(`/proc/${pid}/mem`, "r");
  const sightings: Sighting[] = [];
  try {
    for (const range of await memoryRanges(pid)) {
      for (let start = range.start; start < range.end; start += windowBytes - overlap) {
        const length = Math.min(windowBytes, range.end - start);
        const window = Buffer.allocUnsafe(length);
        const bytesRead = await memory.read(window, 0, length, start).then(
          (result) => result.bytesRead,
          () => 0,
        );
        const place = `memory of process ${pid} (${range.name}) at 0x${start.toString(16)}`;
        sightings.push(...searchBytes(window.subarray(0, bytesRead), forms, place));
      }
    }
  } finally {
    await memory.close();
  }
  return sightings;
}

async function memoryRanges(pid: number): Promise<{ start: number; end: number; name: string }[]> {
  const maps = await readFile(`/proc/${pid}/maps`, "utf8");
  return maps.split("\n").flatMap((line) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line);
    if (match === null || !match[3]!.startsWith("rw") || match[4]!.startsWith("[v")) return [];
    return [
      {
        start: Number.parseInt(match[1]!, 16),
        end: Number.parseInt(match[2]!, 16),
        name: match[4] || "heap",
      },
    ];
  });
}

async function searchDeletedFiles(pid: number, forms: readonly CanaryForm[]): Promise<Sighting[]> {
  const sightings: Sighting[] = [];
  for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${descriptor}`;
    const target = await readlink(path).catch(() => "");
    if (!target.startsWith("/") || !target.endsWith(" (deleted)")) continue;
    sightings.push(...(await searchFile(path, forms, `deleted file ${target} of process ${pid}`)));
  }
  return sightings;
}

/** The same form in the same kind of place counts once. */
function unique(sightings: readonly Sighting[]): Sighting[] {
  const seen = new Map<string, Sighting>();
  for (const sighting of sightings) {
    const key = `${sighting.canary} ${sighting.form} ${sighting.place}`;
    if (!seen.has(key)) seen.set(key, sighting);
  }
  return [...seen.values()];
}
