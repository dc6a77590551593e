/** The parts of a data plane between its queue and its log store, as they run in production, and when lines arrive. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import type { ClusterId, DomainId, OrgId, ProjectDomain, ProjectId } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { Closers, createLogger, deriveKey, type Key, newKey, openDatabase, systemClock } from "@biplane/kit";
import { codeBundlesPrefix, objectUri, offloadedInputsPrefix } from "@biplane/layout";
import { create, toBinary } from "@bufbuild/protobuf";
import { createTar } from "nanotar";
import { startExecutor } from "../planes/data/execution/executor.ts";
import { openSigningKeys } from "../planes/data/identity/signing-keys.ts";
import { ClusterTokens } from "../planes/data/identity/tokens.ts";
import { FileKeyProvider } from "../planes/data/keys/file-provider.ts";
import { ProjectKeys } from "../planes/data/keys/project-keys.ts";
import { openLogStore } from "../planes/data/logs/log-store.ts";
import { logLimits } from "../planes/data/logs/retention.ts";
import type { LogStore } from "../planes/data/logs/types.ts";
import { type ObjectStore, openObjects } from "../planes/data/objects/index.ts";
import { openRuns, type RunsModule } from "../planes/data/runs/open.ts";
import { dataMigrations } from "../planes/data/store/migrations.ts";
import type { DataSchema } from "../planes/data/store/schema.ts";

const org = "acme" as OrgId;
const cluster = "main" as ClusterId;
export const scope: ProjectDomain = {
  org,
  project: "flights" as ProjectId,
  domain: "development" as DomainId,
};

/** `line` prints one line; `parent` stays until its run is aborted, so that there is someone to enqueue for. */
const source = `
import { task } from "@biplane/sdk";
export const line = task({ name: "line" }, async () => { console.log("one line"); });
export const parent = task({ name: "parent" }, async () => { console.log("here"); await new Promise(() => setInterval(() => {}, 1000)); });
`;

export interface WarmstartPlane {
  readonly engine: RunsModule;
  readonly bundleUri: string;
  readonly inputUri: string;
  /** When the action's first line was durable, on `performance`'s clock. */
  firstLine(run: string, action: string): Promise<number>;
  close(): Promise<void>;
}

export async function openPlane(): Promise<WarmstartPlane> {
  const folder = await mkdtemp(join(tmpdir(), "biplane-warmstart-"));
  const closers = new Closers();
  closers.add({ close: () => rm(folder, { recursive: true, force: true }) });
  const log = createLogger({ component: "bench", level: "error" });
  const key = newKey();
  const keys = closers.add(await openKeys(folder, key));
  const objects = closers.add(
    await openObjects({ folder: join(folder, "objects"), systemKey: key, keys, log }),
  );
  const content = await upload(objects.store);
  const database = closers.add(
    await openDatabase<DataSchema>({ folder: join(folder, "database") }, dataMigrations),
  );
  const engine = closers.add(
    await openRuns({
      database,
      org,
      cluster,
      keys: deriveKey(key, "runs"),
      projectKeys: keys,
      bucket: "biplane",
      clock: systemClock,
      log,
    }),
  );
  const logParts = { keys, limits: logLimits(), clock: systemClock, log };
  const logs = closers.add(
    await openLogStore({ folder: join(folder, "logs"), systemKey: deriveKey(key, "logs"), ...logParts }),
  );
  const arrivals = new Arrivals();
  const signingKeys = await openSigningKeys(join(folder, "signing-keys"), key);
  closers.add(
    await startExecutor({
      queue: engine.queue,
      runs: engine.runs,
      objects: objects.store,
      grants: objects.grants("https://localhost:8445"),
      logs: arrivals.watch(logs),
      tokens: new ClusterTokens({
        org,
        cluster,
        keys: signingKeys,
        policy: { bundle: undefined },
        groups: { of: () => [] },
        clock: systemClock,
      }),
      entrances: { openRouter: openUnused, openStore: openUnused, openEgress: openUnused },
      authorityPem: () => "",
      routerEndpoint: "https://localhost:8443",
      storeEndpoint: "https://localhost:8445",
      folder: join(folder, "execution"),
      installation: { node: process.execPath, dist: resolve("dist"), taskModules: undefined },
      slots: 2,
      clock: systemClock,
      log,
    }),
  );
  return {
    engine,
    ...content,
    firstLine: (run, action) => arrivals.of(`${run}/${action}`),
    close: () => closers.close(),
  };
}

/** Nothing in this bench calls out of its sandbox. */
async function openUnused(path: string): Promise<{ close(): void }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((listening) => server.listen(path, listening));
  return server;
}

async function openKeys(folder: string, systemKey: Key): Promise<ProjectKeys> {
  const provider = await FileKeyProvider.open(join(folder, "customer-keys"));
  return ProjectKeys.open({ folder: join(folder, "project-keys"), systemKey, provider });
}

async function upload(store: ObjectStore) {
  const bundleKey = `${codeBundlesPrefix(scope)}bench/bundle.tar.gz`;
  const inputsKey = `${offloadedInputsPrefix(scope)}bench/inputs.pb`;
  await store.put(bundleKey, gzipSync(createTar([{ name: "main.mjs", data: source }])));
  await store.put(inputsKey, toBinary(flyte.task.InputsSchema, create(flyte.task.InputsSchema)));
  return { bundleUri: objectUri(store.bucket, bundleKey), inputUri: objectUri(store.bucket, inputsKey) };
}

/** Sees each action's first line become durable. */
class Arrivals {
  readonly #first = new Map<string, PromiseWithResolvers<number>>();

  of(name: string): Promise<number> {
    return this.#entry(name).promise;
  }

  watch(logs: LogStore): LogStore {
    return {
      has: (attempt) => logs.has(attempt),
      tail: (attempt, signal) => logs.tail(attempt, signal),
      open: async (attempt) => {
        const writer = await logs.open(attempt);
        return {
          close: () => writer.close(),
          append: async (lines) => {
            await writer.append(lines);
            this.#entry(`${attempt.run}/${attempt.action}`).resolve(performance.now());
          },
        };
      },
    };
  }

  #entry(name: string): PromiseWithResolvers<number> {
    let entry = this.#first.get(name);
    if (entry === undefined) {
      entry = Promise.withResolvers<number>();
      this.#first.set(name, entry);
    }
    return entry;
  }
}
