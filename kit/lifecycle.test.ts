/** What makes a plane end besides a signal: its state is gone. */
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runUntilEnd } from "./lifecycle.ts";
import { createLogger } from "./logging.ts";

const log = createLogger({ component: "test", level: "silent" });
let folder = "";
let closed = false;
const resource = {
  close: async () => {
    closed = true;
    throw new Error("Nothing can be written any more.");
  },
};

beforeEach(async () => {
  closed = false;
  folder = await mkdtemp(join(tmpdir(), "biplane-lifecycle-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a process whose state folder is deleted closes and says why it ends", async () => {
  const state = join(folder, "state");
  await mkdir(state);
  const end = runUntilEnd(resource, log, { stateFolder: state });
  await rm(state, { recursive: true });
  await expect(end).rejects.toThrow(`The state folder ${state} is gone`);
  expect(closed).toBe(true);
});

test("another folder in its place is not its state", async () => {
  const [state, other] = [join(folder, "state"), join(folder, "other")];
  await mkdir(state);
  await mkdir(other);
  const end = runUntilEnd(resource, log, { stateFolder: state });
  await rename(state, join(folder, "moved"));
  await rename(other, state);
  await expect(end).rejects.toThrow("another stands in its place");
  expect(closed).toBe(true);
});
