import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockFolder } from "./folder-lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a second owner is refused while the first one has the folder, and not afterwards", async () => {
  const first = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toMatchObject({ reason: "state_in_use" });
  await first.close();
  await (await lockFolder(folder)).close();
  expect(await readdir(folder)).toEqual([]);
});

test("of many at once exactly one gets it", async () => {
  await writeFile(join(folder, "lock.json"), JSON.stringify({ pid: 1, born: "another life" }));
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)));
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
});

test("an owner that was killed does not keep it", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  await writeFile(join(folder, "lock.json"), JSON.stringify({ pid: child.pid, born: "" }));
  child.kill("SIGKILL");
  await once(child, "exit");
  await (await lockFolder(folder)).close();
});

test("a later process with the same number is not taken for the owner", async () => {
  await writeFile(join(folder, "lock.json"), JSON.stringify({ pid: process.pid, born: "before the reboot" }));
  await (await lockFolder(folder)).close();
});
