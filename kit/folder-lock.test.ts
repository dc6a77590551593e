import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
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

test("an owner that was killed does not keep it while its parent has not looked", async () => {
  // The shell becomes a sleeper that never asks for its child's end: the child stays a zombie.
  const parent = spawn("sh", ["-c", "sleep 0.1 & echo $!; exec sleep 30"]);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(line.toString());
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat !== undefined) {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const born = `${boot} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
    await writeFile(join(folder, "lock.json"), JSON.stringify({ pid, born }));
    await expect(lockFolder(folder)).rejects.toMatchObject({ reason: "state_in_use" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await readFile(`/proc/${pid}/stat`, "utf8")).toContain(") Z ");
  }
  await (await lockFolder(folder)).close();
  parent.kill("SIGKILL");
});

test("a later process with the same number is not taken for the owner", async () => {
  await writeFile(join(folder, "lock.json"), JSON.stringify({ pid: process.pid, born: "before the reboot" }));
  await (await lockFolder(folder)).close();
});
