/**
 * Seeded kills while CreateRun is under way, then the client's repeat under the same id: one run for each request, none
 * of the acknowledged ones lost, no other run in either plane (rules of state 2, 3, 4; claim AVL-2).
 */
import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { flyte } from "@biplane/data-wire";
import { bundleModule } from "@biplane/sdk/remote/bundle";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { isCutConnection } from "@biplane/sdk/remote/router-transport";
import { chooseTask, placeRun, uploadModule } from "@biplane/sdk/remote/submit";
import type { ObjectField } from "@biplane/sdk/types/value-type";
import { encodeInputs } from "@biplane/sdk/values/inputs-outputs";
import { eventually } from "@biplane/verify/frame/eventually";
import { type Random, seededRandom } from "@biplane/verify/frame/random";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { controlPlaneRecords, dataPlaneRecords } from "../e2e/run-records.ts";
import { domain, org, project, type System, startSystem } from "../e2e/system.ts";
import { violations } from "./model.ts";
import { faultSeeds } from "./seeds.ts";

const workflow = resolve(import.meta.dirname, "../e2e/workflows/numbers.ts");
const inputField: ObjectField = {
  name: "n",
  type: { kind: "float" },
  description: undefined,
  defaultValue: undefined,
};
const requestsPerSeed = 8;
const victims = ["control", "edge", "data"] as const;
const tryMsMax = 8_000;
const answerMsMax = 60_000;
const listMax = 1_000;
/** What a client may repeat after: nobody answered, or somebody said that it is too early. Anything else is a verdict. */
const noVerdict = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Aborted]);

let system: System;
let client: RemoteClient;
let spec: flyte.task.TaskSpec;
beforeAll(async () => {
  system = await startSystem();
  client = await system.connect();
  const place = await placeRun(client.connection);
  const tasks = await uploadModule(client.connection, place, await bundleModule(workflow));
  spec = chooseTask(tasks, "add-one", workflow).spec;
});
afterAll(() => system?.close());

interface Submission {
  readonly requestId: string;
  /** Chosen by the client, or left to the router. */
  readonly name: string | undefined;
  readonly tries: string[];
}

function newSubmissions(seed: number): Submission[] {
  return Array.from({ length: requestsPerSeed }, (_, index) => ({
    requestId: randomUUID(),
    name: index % 2 === 0 ? undefined : `seed-${seed}-${index}`,
    tries: [],
  }));
}

/** One try over a connection of its own, as from a program that was started again. Gives the run's name. */
async function create({ requestId, name }: Pick<Submission, "requestId" | "name">): Promise<string> {
  const runs = createClient(flyte.workflow.RunService, system.transport());
  const projectId = { organization: org, name: project, domain };
  const { run } = await runs.createRun(
    {
      id:
        name === undefined
          ? { case: "projectId", value: projectId }
          : { case: "runId", value: { org, project, domain, name } },
      task: { case: "taskSpec", value: spec },
      inputWrapper: {
        case: "inputs",
        value: encodeInputs([inputField], { n: 1 }),
      },
      source: flyte.workflow.RunSource.CLI,
    },
    { headers: { "x-request-id": requestId }, timeoutMs: tryMsMax },
  );
  return run!.action!.id!.run!.name;
}

async function createRepeatedly(submission: Submission, random: Random): Promise<string> {
  await pause(random.below(250));
  for (const deadline = Date.now() + answerMsMax; ; ) {
    try {
      return await create(submission);
    } catch (error) {
      submission.tries.push(ConnectError.from(error).message);
      const mayRepeat = noVerdict.has(ConnectError.from(error).code) || isCutConnection(error);
      if (!mayRepeat || Date.now() > deadline) throw error;
      await pause(100 + random.below(200));
    }
  }
}

async function killDuringCreation(random: Random): Promise<string[]> {
  const killed: string[] = [];
  for (let kills = 1 + random.below(2); kills > 0; kills -= 1) {
    await pause(random.below(200));
    const victim = random.pick(victims);
    killed.push(victim);
    await system[victim].kill();
    await pause(random.below(200));
    await system[victim].start();
  }
  return killed;
}

async function listed(): Promise<Set<string>> {
  return new Set((await client.list({ limit: listMax })).map(({ name }) => name));
}

async function listedByControlPlane(): Promise<Set<string>> {
  const { runs } = await client.connection.records.listRuns({ project, domain, page: { limit: listMax } });
  return new Set(runs.map(({ run }) => run!.name));
}

test.each(faultSeeds())(
  "seed %i: kills during CreateRun leave one run for each request (rules of state 2, 3, 4)",
  async (seed) => {
    const random = seededRandom(seed);
    const before = await eventually(listed, () => true, {
      withinMs: 30_000,
      what: `The router being reached (seed ${seed})`,
    });
    const submissions = newSubmissions(seed);
    const creating = submissions.map((submission, index) =>
      createRepeatedly(submission, seededRandom(seed + 1_000 * (index + 1))),
    );
    const [killed, ...names] = await Promise.all([killDuringCreation(random), ...creating]);
    const note = `seed ${seed}, killed ${killed.join(", ")}, tries ${JSON.stringify(submissions)}`;
    expect(new Set(names).size, `requests that share a run: ${note}`).toBe(requestsPerSeed);

    // Rule 2: the first answer again. Rule 4: a name that is taken stays taken for every other request.
    expect(await Promise.all(submissions.map(create)), note).toEqual(names);
    for (const { name } of submissions.filter((one) => one.name !== undefined)) {
      const other = create({ requestId: randomUUID(), name });
      await expect(other, note).rejects.toMatchObject({ code: Code.AlreadyExists });
    }
    for (const name of names) await judgeRun(name, note);

    // Rule 3: no run but these, neither one that was started twice nor one left over from a try without an answer.
    const expected = [...before, ...names].sort();
    expect([...(await listed())].sort(), note).toEqual(expected);
    expect([...(await listedByControlPlane())].sort(), note).toEqual(expected);
  },
);

/** It ran once, to its end, and both planes say so. */
async function judgeRun(name: string, note: string): Promise<void> {
  const run = client.getRun(name);
  expect(await run.wait(AbortSignal.timeout(60_000)), note).toMatchObject({ succeeded: true });
  const actions = await dataPlaneRecords(client, run);
  expect(violations(actions, 0), note).toEqual([]);
  await eventually(
    () => controlPlaneRecords(client, run),
    (index) => JSON.stringify(index) === JSON.stringify(actions),
    { withinMs: 30_000, what: `The control plane's index agreeing about ${name} (${note})` },
  );
}
