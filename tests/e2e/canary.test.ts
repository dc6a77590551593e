/** Values planted as customer data of every kind reach nothing of the provider's (claims CLS-3, CLS-4, SEC-2, LOG-3). */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { File } from "@biplane/sdk";
import { eventually } from "@biplane/verify/frame/eventually";
import { Canaries, type Finding } from "@biplane/verify/search/canary";
import { controlPlaneRows } from "@biplane/verify/search/control-plane-rows";
import { searchFiles, searchProcess } from "@biplane/verify/search/places";
import { bytesOf, searchTraffic } from "@biplane/verify/search/traffic";
import {
  type Capture,
  captureLoopback,
  decryptCapture,
  keyLogging,
} from "@biplane/verify/wire/decrypted-link";
import { afterAll, beforeAll, expect, test } from "vitest";
import { missingTools } from "../support/find-tools.ts";
import { skip } from "../support/tools.ts";
import { controlPlaneRecords } from "./run-records.ts";
import { org, type System, startSystem } from "./system.ts";

const template = join(import.meta.dirname, "../../verify/workflows/canaries.ts");
const secret = new Canaries();
/** Names are what the provider may know: the same search must find these. */
const named = new Canaries();

/** Session keys, apart by who holds them. */
const keyFolder = mkdtempSync(join(tmpdir(), "canary-keys-"));
const keyLogs = {
  control: join(keyFolder, "control"),
  edge: join(keyFolder, "edge"),
  data: join(keyFolder, "data"),
};

let system: System;
let capture: Capture | undefined;
beforeAll(async () => {
  const environmentOf = Object.fromEntries(
    Object.entries(keyLogs).map(([name, path]) => [name, keyLogging(path)]),
  );
  system = await startSystem({ environmentOf });
  if (cannotCapture() === undefined) capture = await captureFromTheStart();
});
afterAll(async () => {
  await system?.close();
  rmSync(keyFolder, { recursive: true, force: true });
});

function cannotCapture(): string | undefined {
  return process.getuid?.() === 0
    ? missingTools(["tcpdump", "tshark"])
    : "captures packets, which takes root";
}

/** The planes start again under the capture: a connection whose beginning was missed can't be decrypted. */
async function captureFromTheStart(): Promise<Capture> {
  const begun = await captureLoopback(join(keyFolder, "loopback.pcap"), Object.values(system.ports));
  for (const daemon of [system.data, system.edge, system.control]) await daemon.stop();
  for (const daemon of [system.control, system.edge, system.data]) await daemon.start();
  await eventually(
    async () => (await system.connect()).list(),
    () => true,
    { withinMs: 30_000, what: "The router being reached again" },
  );
  return begun;
}

/** The workflow with its values filled in, in a file of its own beside the template's imports. */
function writeWorkflow(): string {
  const source = readFileSync(template, "utf8")
    .replaceAll(/@canary:([a-z]+)@/g, (_, kind: string) => secret.plant(kind))
    .replace('name: "leaf"', `name: "${named.plant("taskname")}"`);
  const path = join(system.folder, "planted.ts");
  writeFileSync(path, source);
  return path;
}

async function runWorkflow(): Promise<void> {
  const client = await system.connect();
  const path = writeWorkflow();
  const inputPath = join(system.folder, "input.txt");
  writeFileSync(inputPath, secret.plant("upload"));
  const source = new File(await client.upload(inputPath));
  const env = { RUN_SETTING: secret.plant("runenv") };
  const labels = { team: secret.plant("label") };
  const input = { text: secret.plant("input"), source };
  const run = await client.run({ file: path, task: "everything" }, input, { env, labels });
  expect(await run.wait(AbortSignal.timeout(120_000))).toMatchObject({ succeeded: true });
  const { failure } = (await run.outputs()) as { failure: string };
  expect(failure).toContain(secret.plant("error"));
  const endless = await client.run({ file: path, task: "endless" });
  await eventually(
    () => endless.details(),
    ({ status }) => status?.phase === 4,
    { withinMs: 30_000, what: "The start" },
  );
  await endless.abort(secret.plant("abort"));
  await endless.wait();
  await eventually(
    () => controlPlaneRecords(client, run),
    (actions) => actions.length >= 5,
    {
      withinMs: 30_000,
      what: "The projection reaching the control plane",
    },
  );
}

async function searchTables(canaries: Canaries): Promise<Finding[]> {
  const tables = await controlPlaneRows(join(system.folder, "control"), org);
  expect(tables.length).toBeGreaterThan(3);
  return tables.flatMap(({ table, text }) => canaries.search(Buffer.from(text), `table ${table}`));
}

test("canaries in inputs, files, code, logs, reports, errors and environment reach nothing of the provider's", async () => {
  await runWorkflow();
  const provider = ["control", "edge"] as const;
  const inMemory = provider.flatMap((name) => searchProcess(secret, system[name].pid));
  expect(inMemory, "in the memory of control plane or edge").toEqual([]);
  const knownName = searchProcess(named, system.control.pid);
  expect(knownName.length, "control: the search finds a task's name in memory").toBeGreaterThan(0);

  await system.control.stop();
  const inFiles = provider.flatMap((name) => [
    ...searchFiles(secret, join(system.folder, name)),
    ...secret.search(readFileSync(system[name].logPath), system[name].logPath),
  ]);
  expect(inFiles, "in files or logs of control plane or edge").toEqual([]);
  expect(await searchTables(secret), "in the control plane's tables, decrypted").toEqual([]);
  const namedTables = await searchTables(named);
  expect(
    namedTables.map(({ kind }) => kind),
    "control: the search finds a task's name in a table",
  ).toContain("taskname");
});

test("what passes over link, tunnel and the edge's public side, as far as the provider's keys open it, holds no canary (claims CLS-3, TLS-1)", async (context) => {
  if (capture === undefined) skip(context, cannotCapture() ?? "captured nothing");
  await capture.stop();
  const { link, tunnel, router, authority, objects } = system.ports;
  const provider = await decryptCapture(capture, [keyLogs.control, keyLogs.edge]);
  expect(bytesOf(provider, link), "control: the link was decrypted").toBeGreaterThan(1_000);
  expect(bytesOf(provider, tunnel), "control: the tunnel was decrypted").toBeGreaterThan(10_000);
  expect(bytesOf(provider, router, authority, objects), "the public side opened by the provider").toBe(0);
  expect(searchTraffic(secret, provider)).toEqual([]);
  expect(secret.search(readFileSync(capture.path), "the capture as it is")).toEqual([]);
  expect(
    searchTraffic(named, provider).map(({ kind }) => kind),
    "control: the search finds a task's name on the link",
  ).toContain("taskname");
  const customer = await decryptCapture(capture, [keyLogs.data]);
  expect(bytesOf(customer, router), "control: the customer's keys open the public side").toBeGreaterThan(
    1_000,
  );
  expect(
    searchTraffic(secret, customer).map(({ kind }) => kind),
    "control: with the customer's keys the same search finds canaries in the same capture",
  ).toEqual(expect.arrayContaining(["input", "upload"]));
});

test("nothing that a data plane writes to disk is readable there without its keys (claims REST-1, TLS-5)", async () => {
  const held = searchProcess(secret, system.data.pid);
  expect(held.length, "control: the data plane's memory holds what it served").toBeGreaterThan(0);
  await system.data.stop();
  const found = [
    ...searchFiles(secret, join(system.folder, "data")),
    ...secret.search(readFileSync(system.data.logPath), system.data.logPath),
  ];
  expect(found).toEqual([]);
  // Control: written without encryption, in whatever form, the same search finds it.
  const planted = join(system.folder, "data", "objects", "written-in-plain");
  const value = Buffer.from(secret.plant("input"));
  for (const [form, bytes] of Object.entries({
    plain: value,
    base64: Buffer.from(value.toString("base64")),
    gzip: gzipSync(Buffer.concat([randomBytes(100), value])),
  })) {
    writeFileSync(planted, bytes);
    const [one] = searchFiles(secret, join(system.folder, "data"));
    expect(one?.where, `control: a file with a canary in ${form}`).toContain(planted);
  }
  rmSync(planted);
});
