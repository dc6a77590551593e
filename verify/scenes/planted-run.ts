/**
 * A run whose values are canaries wherever customer data can be: what every search for customer data looks for. Its
 * task's name and its label are canaries of another set, which the same searches must find where names are known.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { File } from "@biplane/sdk";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote";
import { eventually } from "../frame/eventually.ts";
import type { Subject } from "../frame/subject.ts";
import { workflowFile } from "../machine/sources.ts";
import { Canaries } from "../search/canary.ts";

export interface PlantedRun {
  readonly run: RemoteRun;
  /** Aborted, with a reason that is a canary. */
  readonly aborted: RemoteRun;
  /** Customer data: nothing of the provider's may hold any. */
  readonly secret: Canaries;
  /** Names, which the provider knows. */
  readonly named: Canaries;
}

const runMsMax = 90_000;
const running = 4;
const pageSize = 1_000;

/** On the installation that is verified, once. */
export function plantedRun({ client, folder, signal }: Subject): Promise<PlantedRun> {
  return plant(client, folder, signal);
}

export async function plant(client: RemoteClient, folder: string, signal: AbortSignal): Promise<PlantedRun> {
  const [secret, named] = [new Canaries(), new Canaries()];
  const file = writeWorkflow(folder, secret, named);
  const inputPath = join(folder, `${secret.marker}.txt`);
  writeFileSync(inputPath, secret.plant("upload"));
  const source = new File(await client.upload(inputPath));
  const input = { text: secret.plant("input"), source };
  const options = { env: { RUN_SETTING: secret.plant("runenv") }, labels: { team: secret.plant("label") } };
  const run = await client.run({ file, task: "everything" }, input, options);
  const { succeeded, phase, error } = await run.wait(
    AbortSignal.any([signal, AbortSignal.timeout(runMsMax)]),
  );
  if (!succeeded)
    throw new BiplaneError("aborted", {
      what: `The planted run ${phase}.`,
      ...(error ? { why: error } : {}),
    });
  const aborted = await client.run({ file, task: "endless" });
  await eventually(
    () => aborted.details(),
    ({ status }) => status?.phase === running,
    { withinMs: 30_000, what: "The start of the run that is to be aborted" },
  );
  await aborted.abort(secret.plant("abort"));
  await aborted.wait();
  await untilKnown(client, run);
  return { run, aborted, secret, named };
}

/** Until the provider knows what it will know: a search before that would find nothing for the wrong reason. */
async function untilKnown(client: RemoteClient, run: RemoteRun): Promise<void> {
  const { runs, records } = client.connection;
  const { actions } = await runs.listActions({ runId: run.id, request: { limit: pageSize } });
  await eventually(
    () => records.listActions({ run: run.id, page: { limit: pageSize } }),
    (page) => page.actions.length >= actions.length,
    { withinMs: 30_000, what: "The projection of the planted run reaching the control plane" },
  );
}

/** The workflow with its values filled in, in a file of its own. */
function writeWorkflow(folder: string, secret: Canaries, named: Canaries): string {
  const source = readFileSync(workflowFile("canaries.ts"), "utf8")
    .replaceAll(/@canary:([a-z]+)@/g, (_, kind: string) => secret.plant(kind))
    .replace('name: "leaf"', `name: "${named.plant("taskname")}"`);
  const path = join(folder, `planted-${secret.marker}.ts`);
  writeFileSync(path, source);
  return path;
}
