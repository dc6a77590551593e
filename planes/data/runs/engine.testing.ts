/** For tests: the engine over a real database, and a control plane and an executor of a few lines each. */

import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ActionId,
  type ActionName,
  type AttemptId,
  type ClusterId,
  type DomainId,
  type OrgId,
  type ProjectDomain,
  type ProjectId,
  type RunId,
  rootAction,
} from "@biplane/base";
import {
  AdmissionOutcome,
  type Event,
  type Intent,
  IntentSchema,
  type RunProjection,
} from "@biplane/control-wire";
import { flyte, supplement } from "@biplane/data-wire";
import { type Key, newKey } from "@biplane/kit/crypto";
import { type Database, openDatabase } from "@biplane/kit/database";
import { createLogger } from "@biplane/kit/logging";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FileKeyProvider } from "../keys/file-provider.ts";
import { ProjectKeys } from "../keys/project-keys.ts";
import { dataMigrations } from "../store/migrations.ts";
import type { DataSchema } from "../store/schema.ts";
import type { EngineOptions } from "./engine.ts";
import { openRuns, type RunsModule } from "./open.ts";
import type { ActionRecord, AttemptOutcome, Lease, NewChild, NewRun, RunRecord } from "./types.ts";

export const org = "acme" as OrgId;
export const cluster = "main" as ClusterId;
export const scope: ProjectDomain = {
  org,
  project: "flights" as ProjectId,
  domain: "development" as DomainId,
};
export const never = new AbortController().signal;

/** A clock that goes forward when told. */
export class TestClock {
  #nowMs: number;

  constructor(nowMs = Date.now()) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}

export interface Fixture extends RunsModule {
  readonly options: EngineOptions;
  readonly clock: TestClock;
  /** Over key files of the customer's, beside the database. */
  readonly projectKeys: ProjectKeys;
  /** Closes the engine and its database, and opens both again over the same files. */
  reopen(): Promise<void>;
}

export interface FixtureOptions {
  /** `postgres://…`; PGlite without it. */
  readonly url?: string;
  /** Of PGlite; a new one by default. */
  readonly folder?: string;
  /** Puts something between the engine and its database, e.g. a fault. */
  readonly wrap?: (database: Database<DataSchema>) => Database<DataSchema>;
}

export async function openFixture(fixtureOptions: FixtureOptions = {}): Promise<Fixture> {
  const own = await mkdtemp(join(tmpdir(), "biplane-runs-"));
  const folder = fixtureOptions.folder ?? own;
  const clock = new TestClock();
  const keys = newKey();
  const open = async () => {
    const opened = await openDatabase<DataSchema>({ url: fixtureOptions.url, folder }, dataMigrations);
    const database = fixtureOptions.wrap?.(opened) ?? opened;
    const log = createLogger({ component: "test", level: "silent" });
    const projectKeys = await openProjectKeys(folder, keys);
    const options: EngineOptions = {
      ...{ database, org, cluster, keys, projectKeys, bucket: "biplane", clock, log },
    };
    return { options, projectKeys, module: await openRuns(options) };
  };
  let current = await open();
  const closeCurrent = async () => {
    await current.module.close();
    await current.projectKeys.close();
    await current.options.database.close();
  };
  return {
    clock,
    get options() {
      return current.options;
    },
    get projectKeys() {
      return current.projectKeys;
    },
    get runs() {
      return current.module.runs;
    },
    get queue() {
      return current.module.queue;
    },
    get outbox() {
      return current.module.outbox;
    },
    get intents() {
      return current.module.intents;
    },
    reopen: async () => {
      await closeCurrent();
      current = await open();
    },
    close: async () => {
      await closeCurrent();
      await rm(own, { recursive: true, force: true });
      await rm(keysFolder(folder), { recursive: true, force: true });
    },
  };
}

/** The keys of projects as the plane has them, in a folder beside the database's. */
export async function openProjectKeys(databaseFolder: string, systemKey: Key): Promise<ProjectKeys> {
  const folder = keysFolder(databaseFolder);
  const provider = await FileKeyProvider.open(join(folder, "customer"));
  return ProjectKeys.open({ folder: join(folder, "projects"), systemKey, provider });
}

export function keysFolder(databaseFolder: string): string {
  return `${databaseFolder}-keys`;
}

export interface TaskOptions {
  readonly name?: string;
  readonly retries?: number;
}

export function taskSpec({ name = "flights.main", retries = 0 }: TaskOptions = {}): Uint8Array {
  const spec: MessageInitShape<typeof flyte.task.TaskSpecSchema> = {
    shortName: name,
    environment: { name: "flights" },
    taskTemplate: {
      id: { name, version: "v1", ...scope },
      type: "typescript",
      metadata: { retries: { retries } },
    },
  };
  return toBinary(flyte.task.TaskSpecSchema, create(flyte.task.TaskSpecSchema, spec));
}

export interface RunOptions extends TaskOptions {
  readonly labels?: Record<string, string>;
  readonly actionConcurrencyMax?: number;
  readonly createdBy?: string;
  readonly runName?: string;
  readonly project?: string;
  readonly repeatKey?: string;
}

export function newRun(options: RunOptions = {}): NewRun {
  const spec = create(flyte.task.RunSpecSchema, { labels: { values: options.labels ?? {} } });
  const limit = create(supplement.RunSpecSupplementSchema, {
    maxActionConcurrency: options.actionConcurrencyMax ?? 0,
  });
  return {
    scope: { ...scope, project: (options.project ?? scope.project) as ProjectId },
    name: options.runName,
    createdBy: options.createdBy ?? "user-1",
    request: randomBytes(32),
    taskSpec: taskSpec(options),
    runSpec: Buffer.concat([
      toBinary(flyte.task.RunSpecSchema, spec),
      toBinary(supplement.RunSpecSupplementSchema, limit),
    ]),
    inputUri: "s3://biplane/acme/flights/development/inputs/1",
    pins: [{ uri: "s3://biplane/acme/flights/development/inputs/1/inputs.pb", sha256: "00" }],
    source: 1,
    runStartTimeMs: 1_000,
    repeatKey: options.repeatKey,
  };
}

/** What a control plane does with the outbox: admits each new run and sends its intent. */
export class TestControlPlane {
  readonly events: Event[] = [];
  readonly #fixture: Pick<Fixture, "outbox" | "intents" | "clock">;
  readonly #stop = new AbortController();
  readonly #outcome: AdmissionOutcome;
  #running: Promise<void> = Promise.resolve();

  constructor(
    fixture: Pick<Fixture, "outbox" | "intents" | "clock">,
    outcome: AdmissionOutcome = AdmissionOutcome.ADMITTED,
  ) {
    this.#fixture = fixture;
    this.#outcome = outcome;
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Reads and acknowledges what there is, without waiting. */
  async drain(): Promise<void> {
    for (;;) {
      const after = this.#cursor;
      const events = await this.#fixture.outbox.read(after, 1_000);
      if (events.length === 0) return;
      this.events.push(...events);
      const created = events.flatMap(({ change }) => (change.case === "runCreated" ? [change.value] : []));
      const admissions = created.map(({ run }) => ({ run: run!, outcome: this.#outcome }));
      await this.#fixture.outbox.acknowledge(events.at(-1)!.sequence, admissions);
      if (this.#outcome !== AdmissionOutcome.ADMITTED) continue;
      for (const projection of created) {
        await this.#fixture.intents.acceptIntent(intentFor(projection, this.#fixture.clock.now()));
      }
    }
  }

  get #cursor(): bigint {
    return this.events.at(-1)?.sequence ?? this.#fixture.outbox.acknowledgedSequence();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#fixture.outbox.wait(this.#cursor, signal);
      if (!signal.aborted) await this.drain();
    }
  }
}

export function intentFor(
  projection: Pick<RunProjection, "run" | "documentDigest" | "createdBy">,
  nowMs: number,
  change: MessageInitShape<typeof IntentSchema> = {},
): Intent {
  const { run, documentDigest, createdBy } = projection;
  return create(IntentSchema, {
    ...{ run, documentDigest, createdBy, cluster, fence: 1n },
    nonce: randomBytes(16),
    expiresAt: timestampFromMs(nowMs + 60_000),
    ...change,
  });
}

/** Creates a run, has it admitted and started, and leases its root action. */
export async function startRun(fixture: Fixture, options: RunOptions = {}): Promise<Lease> {
  const control = new TestControlPlane(fixture).start();
  const run = await fixture.runs.createRun(newRun(options));
  for (;;) {
    const lease = await leaseNow(fixture);
    if (lease !== undefined && lease.run === run.run) {
      await control.stop();
      return lease;
    }
  }
}

export async function leaseNow(fixture: Pick<Fixture, "queue">, waitMs = 10_000): Promise<Lease> {
  const lease = await fixture.queue.lease(AbortSignal.timeout(waitMs));
  if (lease === undefined) throw new Error(`No action became ready within ${waitMs} ms.`);
  return lease;
}

export const success: AttemptOutcome = { kind: "succeeded", hasReport: false };

export function failure(
  change: Partial<Extract<AttemptOutcome, { kind: "failed" }>["failure"]> = {},
): AttemptOutcome {
  const base = { code: "ValueError", message: "secret 42", kind: "user", recoverable: true } as const;
  return { kind: "failed", failure: { ...base, ...change }, hasReport: false };
}

export function child(name: string, options: TaskOptions = {}): NewChild {
  return {
    name: name as ActionName,
    group: "a group",
    taskSpec: taskSpec({ name: "flights.part", ...options }),
    inputUri: `s3://biplane/acme/flights/development/run/${name}/inputs.pb`,
  };
}

export function attemptOf(lease: Lease): AttemptId {
  const { project, domain, run, action, attempt } = lease;
  return { org: lease.org, project, domain, run, action, attempt };
}

export function rootOf(run: RunId | RunRecord): RunId & { readonly action: ActionName } {
  return { org: run.org, project: run.project, domain: run.domain, run: run.run, action: rootAction };
}

export function actionOf(run: RunId, name: string): RunId & { readonly action: ActionName } {
  return { ...rootOf(run), action: name as ActionName };
}

/** With its texts, as whoever reads details gets it. */
export async function readAction({ runs }: Pick<Fixture, "runs">, id: ActionId): Promise<ActionRecord> {
  return runs.withTexts(await runs.getAction(id));
}
