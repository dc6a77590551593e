/** Deployed tasks: a name and a version mean one specification for good. */
import { BiplaneError, type TaskId } from "@biplane/base";
import type { ProjectKey } from "../keys/types.ts";
import { digestOf } from "../store/document-rows.ts";
import { readTask, type StoredTask } from "../store/task-rows.ts";
import type { Engine } from "./engine.ts";
import type { ListScope, Lists } from "./lists.ts";
import { taskNotFound } from "./not-found.ts";
import type { DeployedTask, Listed, ListQuery } from "./types.ts";

export class Tasks {
  readonly #engine: Engine;
  readonly #lists: Lists;

  constructor(engine: Engine, lists: Lists) {
    this.#engine = engine;
    this.#lists = lists;
  }

  /** The same specification again is fine; another one under the same version is `already_exists`. */
  async deploy(task: DeployedTask): Promise<void> {
    const engine = this.#engine;
    const specDigest = digestOf(task.spec);
    const known = await this.#find(task);
    if (known !== undefined) return requireSame(known, specDigest);
    const key = await engine.documents.keyOf(task.project);
    engine.requireUsable();
    const raced = engine.committer.batch.tasks.find((other) => isSameTask(other, task));
    if (raced !== undefined) requireSame(raced, specDigest);
    else this.#store(task, specDigest, key);
    await engine.commit();
    const stored = await this.#find(task);
    if (stored !== undefined) requireSame(stored, specDigest);
  }

  async get(id: TaskId): Promise<DeployedTask> {
    const stored = await this.#find(id);
    if (stored === undefined) throw taskNotFound(id);
    return this.#withSpec(stored);
  }

  async list(scope: ListScope, query: ListQuery): Promise<Listed<DeployedTask>> {
    const { items, nextCursor } = await this.#lists.tasks(scope, query);
    return { items: await Promise.all(items.map((task) => this.#withSpec(task))), nextCursor };
  }

  #store(task: DeployedTask, specDigest: StoredTask["specDigest"], key: ProjectKey): void {
    const { org, project, domain, name, version, deployedBy, deployedAtMs, shortName, environmentName } =
      task;
    this.#engine.storeDocument(key, project, specDigest, task.spec);
    this.#engine.committer.batch.tasks.push({
      ...{ org, project, domain, name, version },
      ...{ specDigest, deployedBy, deployedAtMs, shortName, environmentName },
    });
  }

  #find(id: TaskId): Promise<StoredTask | undefined> {
    const { database, org } = this.#engine.options;
    return database.asOrg(org, (transaction) => readTask(transaction, this.#engine.sealer, id));
  }

  async #withSpec(stored: StoredTask): Promise<DeployedTask> {
    const { specDigest, ...task } = stored;
    return { ...task, spec: await this.#engine.documents.read(task.project, specDigest) };
  }
}

function isSameTask(left: TaskId, right: TaskId): boolean {
  return (
    left.project === right.project &&
    left.domain === right.domain &&
    left.name === right.name &&
    left.version === right.version
  );
}

function requireSame(known: StoredTask, specDigest: string): void {
  if (known.specDigest === specDigest) return;
  throw new BiplaneError("already_exists", {
    what: `The task ${known.name} is deployed as version ${known.version} already, with another specification.`,
    why: "A version means the same code for good.",
    next: "Deploy it under a new version.",
  });
}
