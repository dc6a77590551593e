/** One process at a time: refresh tokens are good once, and the second of two commands would lose its sign-in. */
import { mkdir, open, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { BiplaneError } from "@biplane/base";
import { sleep } from "@biplane/kit/backoff";

const retryMs = 25;
/** Longer than any holder needs; a lock that is older was left behind by a process that was killed. */
const staleMs = 20_000;
const waitMsMax = 40_000;

export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await acquire(path);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function acquire(path: string): Promise<void> {
  const deadline = Date.now() + waitMsMax;
  while (Date.now() < deadline) {
    if (await tryCreate(path)) return;
    if (await isStale(path)) await rm(path, { force: true });
    await sleep(retryMs);
  }
  throw new BiplaneError("unavailable", {
    what: `Another command holds ${path}.`,
    next: "Wait for it to end, or remove the file if none runs.",
  });
}

async function tryCreate(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx", 0o600);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isStale(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs > staleMs;
  } catch {
    return false;
  }
}
