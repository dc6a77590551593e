/** A data plane connects to what `biplane egress` lists, and to nothing else, whatever library dials (claim RES-4). */
import { execFile } from "node:child_process";
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { type ProviderPlace, providerKinds } from "@biplane/verify/keys/providers";
import {
  type Connected,
  readConnections,
  threadsOf,
  traceConnections,
} from "@biplane/verify/machine/traced-connections";
import { afterAll, beforeAll, expect, test } from "vitest";
import { programPath } from "../support/daemon.ts";
import { describeWithTools } from "../support/tools.ts";
import { type System, startSystem } from "./system.ts";

const reports = resolve(import.meta.dirname, "../../verify/workflows/reports.ts");
const folder = mkdtempSync(join(tmpdir(), "biplane-egress-"));
const trace = join(folder, "connections");
const kms = providerKinds.find(({ tools }) => tools.includes("moto"))!;

describeWithTools("a data plane's connections", ["strace", ...kms.tools], () => {
  let place: ProviderPlace;
  let elsewhere: Server;
  let system: System;
  let client: RemoteClient;
  let heard = 0;

  beforeAll(async () => {
    place = await kms.start();
    elsewhere = createServer(() => {
      heard += 1;
    }).listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    system = await startSystem({
      keys: place.config,
      environment: { ...place.environment },
      environmentOf: { data: { NODE_OPTIONS: `--import ${writeStranger(portOf(elsewhere))}` } },
      dataWrapper: traceConnections(trace),
    });
    client = await system.connect();
    const run = await client.run({ file: reports, task: "large-report" }, { mebibytes: 1 });
    expect(await run.wait()).toMatchObject({ succeeded: true });
    expect(await run.outputs()).toBe("done");
  });
  afterAll(async () => {
    await system?.close();
    await place?.close();
    elsewhere?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function listed(): Promise<{ purpose: string; host: string; port: number }[]> {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [programPath("cli"), "egress", "-o", "json"],
      { env: { ...process.env, ...system.environment() } },
    );
    return JSON.parse(stdout) as { purpose: string; host: string; port: number }[];
  }

  /** Those that no destination of the list leads to. */
  async function strays(connections: readonly Connected[]): Promise<readonly Connected[]> {
    const addresses = new Set<string>();
    for (const { host, port } of await listed()) {
      for (const { address } of await lookup(host, { all: true })) addresses.add(`${address} ${port}`);
    }
    return connections.filter(({ address, port }) => !addresses.has(`${address} ${port}`));
  }

  test("during a whole run lead to nothing but what is listed", async () => {
    expect((await listed()).map(({ purpose }) => purpose).sort()).toEqual([
      "control plane",
      "keys",
      "tunnel edge",
    ]);
    const made = readConnections(trace, threadsOf(system.data.pid));
    const keysPort = Number(new URL((place.config as { endpoint: string }).endpoint).port);
    const used = new Set(made.map(({ port }) => port));
    for (const port of [system.ports.link, system.ports.tunnel, keysPort]) expect(used).toContain(port);
    expect(await strays(made)).toEqual([]);
  });

  test("control: a connection elsewhere is seen by the same trace", async () => {
    const path = join(folder, "control");
    const dial = `require("net").connect(${portOf(elsewhere)}, "127.0.0.1", () => process.exit())`;
    const [program = "", ...parameters] = [...traceConnections(path), process.execPath, "-e", dial];
    await promisify(execFile)(program, parameters);
    const made = await eventually(
      async () => readConnections(path),
      (connections) => connections.length > 0,
      { withinMs: 10_000, what: "The trace" },
    );
    expect(await strays(made)).toEqual([{ address: "127.0.0.1", port: portOf(elsewhere) }]);
    expect(heard).toBe(1);
  });

  test("elsewhere are refused before a packet leaves, and are on record", async () => {
    await eventually(refusedDestinations, (found) => found.includes(`127.0.0.1:${portOf(elsewhere)}`), {
      withinMs: 20_000,
      what: "The record of the refused connection",
    });
    expect(heard).toBe(1);
  });

  async function refusedDestinations(): Promise<string[]> {
    const found: string[] = [];
    const request = { plane: 1, codes: ["EGRESS_REFUSED"] };
    for await (const { record } of client.connection.audit.readRecords(request)) {
      found.push((JSON.parse(Buffer.from(record).toString()) as { address: string }).address);
    }
    return found;
  }
});

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Code that some dependency brought along, in the data plane's own process: it dials where nobody allowed it to. */
function writeStranger(port: number): string {
  const path = join(folder, "stranger.mjs");
  const dial = `connect(${port}, "127.0.0.1").on("error", () => {})`;
  const source = `import { connect } from "node:net";
if (process.argv.includes("start")) setInterval(() => ${dial}, 1_000).unref();\n`;
  writeFileSync(path, source);
  return path;
}
