/** Puts the runs module together over an open database. */
import { randomUUID } from "node:crypto";
import type { AttemptId } from "@biplane/base";
import { Phase } from "@biplane/control-wire";
import type { Closeable } from "@biplane/kit/lifecycle";
import { writeIncarnation } from "../store/outbox-rows.ts";
import { Aborts } from "./aborts.ts";
import { Children } from "./children.ts";
import { RunCreation } from "./creation.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { EventOutbox } from "./event-outbox.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Intents } from "./intents.ts";
import { LeaseQueue } from "./lease-queue.ts";
import { Lists } from "./lists.ts";
import { Reads } from "./reads.ts";
import { Tasks } from "./tasks.ts";
import { currentAttempt } from "./transitions.ts";
import type { ActionQueue, IntentHandler, Outbox, Runs } from "./types.ts";
import { Watches } from "./watches.ts";

export interface RunsModule extends Closeable {
  readonly runs: Runs;
  readonly queue: ActionQueue;
  readonly outbox: Outbox;
  readonly intents: IntentHandler;
}

/** The database stays the caller's to close, after this. */
export async function openRuns(options: EngineOptions): Promise<RunsModule> {
  const engine = new Engine(options);
  const interrupted = await start(engine);
  const creation = new RunCreation(engine);
  const aborts = new Aborts(engine);
  const queue = new LeaseQueue(engine, interrupted);
  const housekeeping = new Housekeeping(engine, creation);
  return {
    runs: assemble(engine, creation, aborts),
    queue,
    outbox: new EventOutbox(engine, creation),
    intents: new Intents(engine),
    close: async () => {
      await housekeeping.close();
      queue.close();
      await engine.close();
    },
  };
}

/** Attempts that were executing when the process ended stay leased until the executor says what became of them. */
async function start(engine: Engine): Promise<readonly AttemptId[]> {
  const { database, org } = engine.options;
  const { incarnation, runs } = await engine.load();
  if (incarnation === undefined) {
    engine.incarnation = randomUUID();
    await database.asOrg(org, (transaction) => writeIncarnation(transaction, org, engine.incarnation));
  }
  const interrupted: AttemptId[] = [];
  for (const run of runs) {
    for (const { record } of run.actions.values()) {
      if (record.phase !== Phase.RUNNING) continue;
      const { org: ownOrg, project, domain, run: name, action } = record;
      const id = { org: ownOrg, project, domain, run: name, action, attempt: currentAttempt(record).attempt };
      engine.leases.hold(id, new AbortController());
      interrupted.push(id);
    }
  }
  return interrupted;
}

function assemble(engine: Engine, creation: RunCreation, aborts: Aborts): Runs {
  const reads = new Reads(engine);
  const lists = new Lists(engine);
  const watches = new Watches(engine, reads, lists);
  const children = new Children(engine);
  const tasks = new Tasks(engine, lists);
  return {
    createRun: (run) => creation.createRun(run),
    abortRun: (id, abort) => aborts.abortRun(id, abort),
    abortAction: (id, abort) => aborts.abortAction(id, abort),
    enqueueChildren: (parent, fresh) => children.enqueueChildren(parent, fresh),
    recordTraces: (parent, traces) => children.recordTraces(parent, traces),
    getRun: (id) => reads.run(id),
    getAction: (id) => reads.action(id),
    withTexts: (record) => engine.texts.open(record),
    document: (project, digest) => reads.document(project, digest),
    runSpec: (id) => reads.runSpec(id),
    listRuns: (scope, query) => lists.runs(scope, query),
    listActions: async (id, query) => {
      await reads.run(id);
      return lists.actions(id, query);
    },
    watchRun: (id, signal) => watches.run(id, signal),
    watchAction: (id, signal) => watches.action(id, signal),
    watchActions: (id, signal) => watches.actions(id, signal),
    watchRuns: (scope, signal) => watches.runs(scope, signal),
    watchChildren: (id, parent, signal) => watches.children(id, parent, signal),
    watchProgress: (id, signal) => watches.progress(id, signal),
    deployTask: (task) => tasks.deploy(task),
    getTask: (id) => tasks.get(id),
    listTasks: (scope, query) => tasks.list(scope, query),
  };
}
