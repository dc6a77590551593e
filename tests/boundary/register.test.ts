/** The build ends where something that is served, stored, logged or audited has no class (claim CLS-1). */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { documentPath, documentText } from "../../tools/register/document.ts";
import { readWorkspaces, root } from "./sources.ts";

let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "biplane-register-"));
  for (const name of ["contracts", "kit", "planes", "tunnel", "worker", "clients", "proto", "tools"])
    cpSync(join(root, name), join(copy, name), { recursive: true, filter: (path) => !isBuilt(path) });
  for (const name of [
    "package.json",
    "package-lock.json",
    "buf.yaml",
    "buf.gen.control.yaml",
    "buf.gen.data.yaml",
  ])
    cpSync(join(root, name), join(copy, name));
  mkdirSync(join(copy, "dist"));
  cpSync(join(root, template), join(copy, template), { preserveTimestamps: true });
  linkPackages();
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const template = "dist/embedded-database.tar.gz";
const isBuilt = (path: string) => ["node_modules", "dist"].includes(basename(path));

/** What is installed stays where it is; the workspaces are the copy's own. */
function linkPackages(): void {
  const installed = join(root, "node_modules");
  const packages = join(copy, "node_modules");
  mkdirSync(join(packages, "@biplane"), { recursive: true });
  for (const name of readdirSync(installed))
    if (name !== "@biplane") symlinkSync(join(installed, name), join(packages, name));
  for (const { name, folder } of readWorkspaces()) symlinkSync(join(copy, folder), join(packages, name));
}

function run(...parameters: string[]): { status: number | null; text: string } {
  const node = join(root, "node_modules/.bin/node");
  const { status, stderr } = spawnSync(node, parameters, { cwd: copy, encoding: "utf8" });
  return { status, text: stderr };
}

/** Replaces the first occurrence; that there is one is part of the test. */
function edit(path: string, before: string, after: string): void {
  const text = readFileSync(join(copy, path), "utf8");
  expect(text, path).toContain(before);
  writeFileSync(join(copy, path), text.replace(before, after));
}

const typescript = ["--import", "./tools/typescript.mjs"];

test("control: as it is, the register is whole", () => {
  const checked = run(...typescript, "tools/register/check.ts", template, "dist/schemas.json");
  expect(checked).toEqual({ status: 0, text: "" });
});

const objects = "proto/biplane/data/v1/objects.proto";
const start = "Start start = 1 [(biplane.classes.v1.class) = CLASS_";
const flyte = "contracts/classification/flyte-fields.ts";
const controlColumns = "contracts/classification/control-columns.ts";
const dataColumns = "contracts/classification/data-columns.ts";
const cron = 'Cron: { orchestration: "expression timezone"';
const displayName = 'display_name_sealed: "bytea not null",';
const version = 'software_version: plain("public", line)';
const detail = 'detail: sealed("inline_customer"),';

/** What is done to the copy: in a file, this text becomes that one, and then the build says so. */
const faults: readonly (readonly [path: string, before: string, after: string, said: readonly string[]])[] = [
  [
    objects,
    "string project = 1",
    "string unclassed = 90;\n  string project = 1",
    ["biplane.data.v1.ListObjectsRequest.unclassed has no class: give it the option"],
  ],
  [
    "proto/biplane/worker/v1/worker.proto",
    `${start}CAPABILITY`,
    `${start}INLINE_CUSTOMER`,
    ["biplane.worker.v1.ToWorker.start is inline_customer, but holds what is capability"],
  ],
  // A field that a newer Flyte brings looks to the table like one that was taken out of it.
  [
    flyte,
    "labels annotations envs",
    "labels annotations bygone",
    [
      `flyteidl2.task.RunSpec.envs has no class: add it to ${flyte}`,
      `flyteidl2.task.RunSpec.bygone is no field of a served message: take it out of ${flyte}`,
    ],
  ],
  [
    flyte,
    cron,
    `${cron}, platform: "timezone"`,
    [`flyteidl2.task.Cron.timezone has two classes in ${flyte}`],
  ],
  [
    "planes/control/store/tables-organization.ts",
    displayName,
    `${displayName} note: "text",`,
    [`control.project.note has no class: add it to ${controlColumns}`],
  ],
  [
    dataColumns,
    detail,
    'detail: plain("inline_customer"), dropped: plain("platform"),',
    [
      "data.run.detail is inline_customer and plain: seal it",
      `data.run.dropped does not exist any more: take it out of ${dataColumns}`,
    ],
  ],
  [
    controlColumns,
    version,
    'software_version: plain("inline_customer")',
    [
      "control.cluster.software_version is inline_customer: a control plane may not keep it",
      "control.cluster.software_version could hold anything: say what",
    ],
  ],
  [
    "planes/control/server.ts",
    'event: "listening", host',
    'event: "listening", unlisted: 1, host',
    ["log.unlisted has no class: add it to contracts/base/log-fields.ts"],
  ],
  [
    "contracts/audit/record.ts",
    "readonly subject: string;",
    "readonly subject: string;\n  readonly motto?: string;",
    ["audit.motto has no class: add it to contracts/audit/record.ts"],
  ],
];

test("the build fails and names each field without a class, each stale row and each wrong one (claim CLS-1)", () => {
  for (const [path, before, after] of faults) edit(path, before, after);
  const { status, text } = run("tools/build.ts");
  expect(status).toBe(1);
  for (const line of faults.flatMap(([, , , said]) => said)) expect(text).toContain(line);
  const gaps = text.split("\n").filter((line) => line.startsWith("  "));
  expect(gaps, "nothing else is wrong with the copy").toHaveLength(12 + 1);
  expect(existsSync(join(copy, "dist/control.mjs")), "bundled all the same").toBe(false);
});

test("the page of the documentation says what the register says", () => {
  expect(readFileSync(join(root, documentPath), "utf8"), "run `npm run classes`").toBe(documentText());
});
