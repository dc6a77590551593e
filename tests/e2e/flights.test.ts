/** The demo's workflow on a whole system, on both kinds of database, checked against one query over the whole file. */
import { join, resolve } from "node:path";
import { flyte } from "@biplane/data-wire";
import { File } from "@biplane/sdk";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { controlPlaneRecords, dataPlaneRecords } from "./run-records.ts";
import { type System, startSystem } from "./system.ts";

const root = resolve(import.meta.dirname, "../..");
const workflow = join(root, "examples/flights/index.ts");
const dataFile = join(root, "node_modules/vega-datasets/data/flights-3m.parquet");
const airports = 229;
/** The root, the partition, one action for each airport, the gathering. */
const actions = airports + 3;
const runMsMax = 240_000;

interface Outputs {
  readonly airports: number;
  readonly flights: number;
  readonly worst: readonly {
    readonly origin: string;
    readonly flights: number;
    readonly meanDelay: number;
  }[];
}

describe.each(["PGlite", "PostgreSQL"])("the flights example with planes on %s", (kind) => {
  let postgres: PostgresServer | undefined;
  let system: System;
  let client: RemoteClient;
  let run: RemoteRun;

  beforeAll(async () => {
    postgres = kind === "PostgreSQL" ? await startPostgres() : undefined;
    system = await startSystem(postgres === undefined ? {} : { postgres });
    client = await system.connect();
  });
  afterAll(async () => {
    await system?.close();
    await postgres?.stop();
  });

  test("succeeds, and its figures are those of one query over the whole file", async () => {
    const source = new File(await client.upload(dataFile), { format: "parquet" });
    run = await client.run({ file: workflow, task: "flights" }, { source });
    expect(await run.wait(AbortSignal.timeout(runMsMax))).toMatchObject({ succeeded: true });
    const outputs = (await run.outputs()) as Outputs;
    const expected = await worstAirports();
    expect(outputs).toMatchObject({ airports, flights: 3_000_000 });
    expect(outputs.worst.map(({ origin }) => origin)).toEqual(expected.map(({ origin }) => origin));
    for (const [index, { flights, meanDelay }] of expected.entries()) {
      expect(outputs.worst[index]!.flights).toBe(flights);
      expect(outputs.worst[index]!.meanDelay).toBeCloseTo(meanDelay, 6);
    }
  });

  test("has one action for each airport, and both planes tell the same of all of them", async () => {
    const held = await dataPlaneRecords(client, run);
    expect(held).toHaveLength(actions);
    expect(new Set(held.map(({ phase }) => phase))).toEqual(new Set([flyte.common.ActionPhase.SUCCEEDED]));
    await eventually(
      () => controlPlaneRecords(client, run),
      (index) => JSON.stringify(index) === JSON.stringify(held),
      { withinMs: 30_000, what: "The index agreeing with the data plane" },
    );
  });

  test("has a report behind a presigned URL, and its table in its log", async () => {
    expect(await reportOf(await actionOfTask("flights.gather"))).toContain("<svg");
    const lines: string[] = [];
    for await (const { text } of run.logs()) lines.push(text);
    expect(lines.filter((line) => line.includes("min on average"))).toHaveLength(10);
  });

  async function actionOfTask(name: string): Promise<string> {
    const { actions: listed } = await client.connection.runs.listActions({
      runId: run.id,
      request: { limit: 1_000 },
    });
    const found = listed.find(
      ({ metadata }) => metadata?.spec.case === "task" && metadata.spec.value.id?.name === name,
    );
    if (found?.id === undefined) throw new Error(`The run has no action of task ${name}.`);
    return found.id.name;
  }

  async function reportOf(action: string): Promise<string> {
    const { data, http } = client.connection;
    const { preSignedUrls } = await data.createDownloadLink({
      artifactType: flyte.dataproxy.ArtifactType.REPORT,
      source: { case: "actionAttemptId", value: { actionId: { run: run.id, name: action }, attempt: 1 } },
    });
    return http.text(await http.send(preSignedUrls!.signedUrl[0]!, { method: "GET" }));
  }
});

async function worstAirports(): Promise<{ origin: string; flights: number; meanDelay: number }[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(
    `select origin, count(*) as flights, avg(delay) as mean from read_parquet('${dataFile}')
     group by origin having count(*) >= 1000 order by mean desc limit 10`,
  );
  const rows = reader.getRowObjectsJson();
  connection.closeSync();
  return rows.map((row) => ({
    origin: String(row["origin"]),
    flights: Number(row["flights"]),
    meanDelay: Number(row["mean"]),
  }));
}
