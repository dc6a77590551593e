/** Searches all that a process has, and all that a folder has, for texts that should not be there. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Finding, Searchable } from "./needles.ts";
import { readDeletedFiles, readMemory } from "./process-memory.ts";

/** Memory, and files that it holds open although they were deleted. */
export function searchProcess(wanted: Searchable, pid: number): Finding[] {
  const found: Finding[] = [];
  for (const chunks of [readMemory(pid), readDeletedFiles(pid)]) {
    for (const { where, bytes } of chunks) found.push(...wanted.search(bytes, where));
  }
  return found;
}

/** Files that vanish meanwhile are temporary ones; those that stay are all read. */
export function searchFiles(wanted: Searchable, folder: string): Finding[] {
  return filesBelow(folder).flatMap((path) => searchFile(wanted, path));
}

export function searchFile(wanted: Searchable, path: string): Finding[] {
  try {
    return wanted.search(readFileSync(path), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

/** Of what kind, in which form, where: for people. */
export function describeFinding({ where, form, kind }: Finding): string {
  return `${kind === "unknown" ? "a canary" : kind} in ${where} (${form})`;
}
