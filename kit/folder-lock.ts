/**
 * One process at a time has a state folder: two over the same database files or journals would destroy both. The lock
 * is a file that names its owner; an owner that no longer runs does not count, so a crash leaves nothing to clean up.
 */
import { readFileSync } from "node:fs";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import type { Closeable } from "./lifecycle.ts";

interface Owner {
  readonly pid: number;
  /** Tells a process from a later one with the same number; empty where the system does not say. */
  readonly born: string;
}

const fileName = "lock.json";
const triesMax = 5;

/** Refuses with `failed_precondition` while another process has the folder. Closing gives it back. */
export async function lockFolder(folder: string): Promise<Closeable> {
  const path = join(folder, fileName);
  const own: Owner = { pid: process.pid, born: birthOf(process.pid) };
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    for (let tries = 0; tries < triesMax; tries += 1) {
      if (await linked(draft, path)) return { close: () => rm(path, { force: true }) };
      const owner = await ownerOf(path);
      if (owner !== undefined && isAlive(owner)) throw taken(folder, owner);
      await removeStale(path, draft, owner);
    }
    throw new BiplaneError("aborted", `Other processes want the folder ${folder} too.`);
  } finally {
    await rm(draft, { force: true });
  }
}

/** A link is made or not; there is no moment at which a half-written lock could be read. */
async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Takes the file away only where it still names the dead owner: somebody else may have been faster. */
async function removeStale(path: string, draft: string, stale: Owner | undefined): Promise<void> {
  const aside = `${draft}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const moved = await ownerOf(aside);
  if (moved !== undefined && (moved.pid !== stale?.pid || moved.born !== stale.born))
    await linked(aside, path);
  await rm(aside, { force: true });
}

async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const { pid, born } = JSON.parse(await readFile(path, "utf8")) as Partial<Owner>;
    return typeof pid === "number" && typeof born === "string" ? { pid, born } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const born = birthOf(owner.pid);
  return owner.born === born && (born !== "" || !hasBirths());
}

function hasBirths(): boolean {
  return birthOf(process.pid) !== "";
}

/** Boot and start time of a process, from Linux's /proc; empty elsewhere, and for one that has ended already. */
function birthOf(pid: number): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces; state and start time are the 1st and 20th field after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A process that was killed stays listed until its parent has looked.
    return fields[0] === "Z" || fields[0] === "X" ? "" : `${boot} ${fields[19]}`;
  } catch {
    return "";
  }
}

function taken(folder: string, owner: Owner): BiplaneError {
  return new BiplaneError(
    "failed_precondition",
    {
      what: `The state folder ${folder} is in use.`,
      why: `Process ${owner.pid} has it; two at once would destroy what is in it.`,
      next: "Stop that process first, or give another folder by --state.",
    },
    { reason: "state_in_use" },
  );
}
