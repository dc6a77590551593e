/** What the benches of runs share: a deployed workflow, runs one after the other, durable transactions to compare with. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { flyte } from "@biplane/data-wire";
import { openDatabase } from "@biplane/kit";
import { bundleModule } from "@biplane/sdk/remote/bundle";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { inputFieldsOf } from "@biplane/sdk/remote/client";
import { placeRun, uploadModule } from "@biplane/sdk/remote/submit";
import { encodeInputs } from "@biplane/sdk/values/inputs-outputs";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Kysely, sql } from "kysely";

const references = 300;
export const workflow = resolve(import.meta.dirname, "../tests/e2e/workflows/numbers.ts");

type Spec = flyte.task.TaskSpec;

/** Uploads the workflow once: what is measured is runs, not uploads. */
export async function uploadTasks(client: RemoteClient): Promise<(name: string) => Spec> {
  const place = await placeRun(client.connection);
  const tasks = await uploadModule(client.connection, place, await bundleModule(workflow));
  return (name) => {
    const found = tasks.find((task) => task.name === name);
    if (found === undefined) throw new Error(`The workflow has no task ${name}.`);
    return found.spec;
  };
}

/** A prepared CreateRun: inputs are stored, one call is left. */
export type Submission = () => Promise<flyte.common.RunIdentifier>;

export async function prepareRun(
  client: RemoteClient,
  spec: Spec,
  input: Record<string, unknown>,
): Promise<Submission> {
  const { org, project, domain } = await placeRun(client.connection);
  const id = { case: "projectId" as const, value: { organization: org, name: project, domain } };
  const task = { case: "taskSpec" as const, value: spec };
  const inputs = encodeInputs(inputFieldsOf(spec), input);
  const { offloadedInputData } = await client.connection.data.uploadInputs({ id, task, inputs });
  const inputWrapper = { case: "offloadedInputData" as const, value: offloadedInputData! };
  return async () => {
    const { run } = await client.connection.runs.createRun({
      id,
      task,
      inputWrapper,
      source: flyte.workflow.RunSource.CLI,
    });
    return run!.action!.id!.run!;
  };
}

/** Resolves as soon as the run's end is known, from the same pushed watch that clients use; a failed run is an error. */
export async function untilEnd(client: RemoteClient, run: flyte.common.RunIdentifier): Promise<void> {
  const result = await client.getRun(run.name).wait();
  if (!result.succeeded)
    throw new ConnectError(`The run ${run.name} ended as ${result.phase}: ${result.error}`, Code.Aborted);
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

export function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { p50: at(0.5), p99: at(0.99) };
}

/** How long something takes, in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

interface Schema {
  thing: { name: string; value: string };
}

/**
 * Durable transactions of one row, one after the other, on databases of the same kind as the planes' own. `inEach` of
 * them, each on a database of its own, are one measurement.
 */
export async function durableTransactionsMs(inEach: readonly number[]): Promise<Percentiles> {
  const folder = mkdtempSync(join(tmpdir(), "biplane-bench-"));
  const migrations = { applicationRole: "biplane_bench", migrations: { "0001": { up: createTable } } };
  const databases = await Promise.all(
    inEach.map((_, index) => openDatabase<Schema>({ folder: join(folder, `${index}`) }, migrations)),
  );
  const times: number[] = [];
  for (let round = 0; round < references; round += 1) {
    times.push(
      await timed(async () => {
        for (const [index, count] of inEach.entries()) {
          for (let number = 0; number < count; number += 1) {
            const row = { name: `${round}.${number}`, value: "x".repeat(200) };
            await databases[index]!.kysely.transaction().execute((t) =>
              t.insertInto("thing").values(row).execute(),
            );
          }
        }
      }),
    );
  }
  for (const database of databases) await database.close();
  rmSync(folder, { recursive: true, force: true });
  return percentiles(times.slice(references / 10));
}

async function createTable(kysely: Kysely<unknown>): Promise<void> {
  await sql`create table thing (name text primary key, value text not null)`.execute(kysely);
}
