/** Single runs, actions and documents: from memory while the run is open, from the database after. Committed state only. */
import type { ActionId, Digest, RunId } from "@biplane/base";
import { readAction, readActionsOfRun } from "../store/action-rows.ts";
import { readRun, type StoredRun } from "../store/run-rows.ts";
import type { Engine } from "./engine.ts";
import { actionNotFound, runNotFound } from "./not-found.ts";
import type { ActionRecord, RunRecord } from "./types.ts";

export class Reads {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Pending and withdrawn runs are nobody's business yet (rule of state 3). */
  async run(id: RunId): Promise<RunRecord> {
    const open = this.#engine.openRun(id)?.committed;
    const record = open ?? (await this.#stored(id))?.record;
    if (record?.admission !== "admitted") throw runNotFound(id);
    return record;
  }

  async action(id: ActionId): Promise<ActionRecord> {
    const run = await this.run(id);
    const open = this.#engine.openRun(run)?.actions.get(id.action)?.committed;
    const record = open ?? (await this.#storedAction(id));
    if (record === undefined) throw actionNotFound(id);
    return record;
  }

  /** All of the run's actions, or those below one parent, parents first. */
  async actions(id: RunId, parent?: string): Promise<readonly ActionRecord[]> {
    const open = this.#engine.openRun(id);
    if (open === undefined) return this.#storedActions(id, parent);
    const states =
      parent === undefined ? [...open.actions.values()] : (open.actions.get(parent)?.children ?? []);
    return states.flatMap(({ committed }) => (committed === undefined ? [] : [committed]));
  }

  document(project: string, digest: Digest): Promise<Uint8Array> {
    return this.#engine.documents.read(project, digest);
  }

  async runSpec(id: RunId): Promise<Uint8Array> {
    await this.run(id);
    const stored = this.#engine.openRun(id)?.stored ?? (await this.#stored(id));
    if (stored === undefined) throw runNotFound(id);
    return this.document(id.project, stored.runSpecDigest);
  }

  #stored(id: RunId): Promise<StoredRun | undefined> {
    const { database, org } = this.#engine.options;
    return database.asOrg(org, (transaction) => readRun(transaction, this.#engine.sealer, id));
  }

  #storedAction(id: ActionId): Promise<ActionRecord | undefined> {
    const { database, org, bucket } = this.#engine.options;
    return database.asOrg(org, (transaction) => readAction(transaction, this.#engine.sealer, bucket, id));
  }

  async #storedActions(id: RunId, parent: string | undefined): Promise<readonly ActionRecord[]> {
    const { database, org, bucket } = this.#engine.options;
    const stored = await database.asOrg(org, (transaction) =>
      readActionsOfRun(transaction, this.#engine.sealer, bucket, id, parent),
    );
    return stored.map(({ record }) => record);
  }
}
