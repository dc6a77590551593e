/**
 * The border ledger against the wire (claim BORDER-1): everything on the link's port is captured from before the first
 * call, decrypted with the session keys that the data plane logs, and compared with what the ledger says.
 */
import { execFile } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import type { border } from "@biplane/data-wire";
import { readKeyFile } from "@biplane/kit";
import { compareBorder, ledgerCalls } from "@biplane/verify/wire/border-comparison";
import { type CapturedCall, capturedCalls } from "@biplane/verify/wire/captured-calls";
import {
  type Capture,
  captureLoopback,
  decryptCapture,
  keyLogging,
} from "@biplane/verify/wire/decrypted-link";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readEnrollment, withBorderLedger } from "../../planes/data/link/index.ts";
import { statePaths } from "../../planes/data/state.ts";
import { describeWithTools, skip } from "../support/tools.ts";
import { type System, startSystem } from "./system.ts";

const launcher = join(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
const workflow = resolve(import.meta.dirname, "workflows/numbers.ts");
const canCapture = process.getuid?.() === 0;
const folder = mkdtempSync(join(tmpdir(), "biplane-border-"));
const keyLogs = { data: join(folder, "data.keys"), beside: join(folder, "beside.keys") };
let system: System;
let capture: Capture;
let port: number;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port: free } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return free;
}

async function biplane(...words: string[]): Promise<Record<string, unknown>[]> {
  const env = { ...process.env, ...system.environment(), BIPLANE_CONFIG_DIR: join(folder, "config") };
  const parameters = [launcher, "border", "-o", "json", ...words];
  const { stdout } = await promisify(execFile)(process.execPath, parameters, {
    env,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** A call with the cluster's own certificate that does not go by the ledger; its keys are logged. */
async function callBeside(): Promise<void> {
  const enrollment = (await readEnrollment(statePaths(join(system.folder, "data")).link))!;
  const { certificatePem: cert, privateKeyPem: key } = enrollment.identity;
  const socket = connectTls({
    ...{ host: "localhost", port, servername: "localhost", ALPNProtocols: ["h2"] },
    ...{ ca: enrollment.providerRootPem, cert, key },
  });
  socket.on("keylog", (line: Buffer) => appendFileSync(keyLogs.beside, line));
  const session = connectHttp2(`https://localhost:${port}`, { createConnection: () => socket });
  const path = "/biplane.control.v1.IndexService/ListProjects";
  const call = session.request({ ":method": "POST", ":path": path, "content-type": "application/proto" });
  call.end();
  await new Promise((done) => call.resume().once("close", done));
  session.close();
}

/** An answer to its last words can cross when the plane has stopped reading; what it never reads it can't record. */
const unreadMax = 1;

/** What the ledger holds, of a plane that was stopped. */
async function readEntries(): Promise<border.LedgerEntry[]> {
  const paths = statePaths(join(system.folder, "data"));
  const entries: border.LedgerEntry[] = [];
  await withBorderLedger(paths.ledger, await readKeyFile(paths.systemKey), async (ledger) => {
    const query = { fromSequence: 0n, follow: false, run: "" };
    for await (const entry of ledger.read(query, new AbortController().signal)) entries.push(entry);
  });
  return entries;
}

async function onTheWire(logs: readonly string[]): Promise<CapturedCall[]> {
  return capturedCalls(capture, await decryptCapture(capture, logs), logs, port);
}

describeWithTools("the border", ["tcpdump", "tshark", "bubblewrap"], () => {
  let runName: string;

  beforeAll(async () => {
    if (!canCapture) return;
    port = await freePort();
    capture = await captureLoopback(join(folder, "link.pcap"), [port]);
    system = await startSystem({ linkPort: port, environmentOf: { data: keyLogging(keyLogs.data) } });
    const client = await system.connect();
    const run = await client.run({ file: workflow, task: "squares" }, { width: 5, pauseMs: 0 });
    expect(await run.wait(AbortSignal.timeout(60_000))).toMatchObject({ succeeded: true });
    runName = run.name;
  });
  afterAll(async () => {
    await system?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("people read it: each message with its classes, its headers, and by what it holds", async (context) => {
    if (!canCapture) skip(context, "captures packets, which takes root");
    const all = await biplane();
    const enrolled = all.find(({ type }) => type === "biplane.control.v1.EnrollRequest");
    expect(enrolled).toMatchObject({ direction: "up", classes: ["platform"], message: { org: "acme" } });
    expect(enrolled).toHaveProperty("headers.:path", "/biplane.control.v1.EnrollmentService/Enroll");
    const classes = new Set(all.flatMap((one) => one["classes"] as string[]));
    expect([...classes].sort()).toEqual(["orchestration", "platform", "public"]);
    const ofRun = await biplane("--run", runName);
    expect(ofRun.length).toBeGreaterThan(3);
    for (const one of ofRun) expect(JSON.stringify(one)).toContain(runName);
    expect((await biplane("--grep", runName)).length).toBeGreaterThanOrEqual(ofRun.length);
    expect(await biplane("--grep", "no message holds this")).toEqual([]);
  });

  test("the ledger is what crossed, from the first call on: same calls, bytes, headers, order, both ways", async (context) => {
    if (!canCapture) skip(context, "captures packets, which takes root");
    await callBeside();
    await system.data.stop();
    await capture.stop();
    const ledger = ledgerCalls(await readEntries());
    const wire = await onTheWire([keyLogs.data]);
    expect(compareBorder(ledger, wire, unreadMax)).toEqual([]);
    const paths = new Set(wire.map(({ up }) => up.headers[":path"]));
    for (const method of ["EnrollmentService/Enroll", "LinkService/Connect", "IndexService/CreateProject"]) {
      expect(paths).toContain(`/biplane.control.v1.${method}`);
    }
    const stream = wire.find(({ up }) => up.headers[":path"]?.endsWith("/Connect"))!;
    expect(stream.up.messages.length).toBeGreaterThan(3);
    expect(stream.down.messages.length).toBeGreaterThan(3);

    const withBeside = await onTheWire([keyLogs.data, keyLogs.beside]);
    const differences = compareBorder(ledger, withBeside, unreadMax);
    expect(differences, "control: a message beside the ledger is reported").toHaveLength(1);
    expect(differences[0]).toMatch(/^beside the ledger: .*ListProjects/);
    const [, ...fewer] = ledger;
    expect(
      compareBorder(fewer, wire, unreadMax),
      "control: a call that the ledger lacks is reported",
    ).toHaveLength(1);
    expect(readFileSync(capture.path).length).toBeGreaterThan(10_000);
  });
});
