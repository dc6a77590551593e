/** A worker's snapshot fits one version of Node: where it does not, workers must start all the same. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@biplane/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { snapshotFile } from "./sandbox/types.ts";
import { fitsThisNode } from "./snapshot.ts";

let dist = "";
beforeEach(() => {
  dist = mkdtempSync(join(tmpdir(), "biplane-snapshot-"));
});
afterEach(() => rmSync(dist, { recursive: true, force: true }));

const log = createLogger({ component: "test", level: "silent" });
const fits = () =>
  fitsThisNode({ installation: { node: process.execPath, dist, taskModules: undefined }, log });

test("a snapshot of this Node is used", async () => {
  const source = join(dist, "source.cjs");
  writeFileSync(source, 'require("node:v8").startupSnapshot.setDeserializeMainFunction(() => {});');
  const parameters = ["--snapshot-blob", join(dist, snapshotFile), "--build-snapshot", source];
  execFileSync(process.execPath, parameters, { stdio: "pipe" });
  expect(await fits()).toBe(true);
});

test("without a snapshot workers load their parts", async () => {
  expect(await fits()).toBe(false);
});

test("a snapshot that another Node made, or that is damaged, is not used", async () => {
  writeFileSync(join(dist, snapshotFile), Buffer.alloc(4_096, 1));
  expect(await fits()).toBe(false);
});
