/** Ending runs and actions from outside, and everything below an action that ended (rule of state 6). */
import { type ActionId, BiplaneError, type RunId, rootAction } from "@biplane/base";
import { readAction } from "../store/action-rows.ts";
import { readRun } from "../store/run-rows.ts";
import type { Engine } from "./engine.ts";
import { actionNotFound, runNotFound } from "./not-found.ts";
import type { ActionState } from "./state.ts";
import { aborted } from "./transitions.ts";
import type { AbortInfo, RecordedAbort } from "./types.ts";

/** What stands on actions whose parent ended before them. */
export const parentEnded: RecordedAbort = {
  reason: "The action that started this one has ended.",
  by: "biplane",
};

/** Ends everything open below the action; decides only. Costs nothing for what has ended before. */
export function abortDescendants(engine: Engine, action: ActionState, abort: RecordedAbort): void {
  const stack = action.children.filter((child) => child.isOpen);
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    engine.changeAction(next, aborted(next.record, engine.now(), abort));
    for (const child of next.children) if (child.isOpen) stack.push(child);
  }
}

export class Aborts {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async abortRun(id: RunId, abort: AbortInfo): Promise<void> {
    const engine = this.#engine;
    const recorded = await engine.texts.sealAbort(id, abort);
    engine.requireUsable();
    const run = engine.openRun(id);
    if (run === undefined) return this.#requireEnded(id);
    if (run.record.admission !== "admitted") throw runNotFound(id);
    const root = run.actions.get(rootAction);
    if (root === undefined) throw new BiplaneError("data_loss", `The run ${id.run} has no root action.`);
    this.#end(root, recorded);
    await engine.commit();
  }

  async abortAction(id: ActionId, abort: AbortInfo): Promise<void> {
    const engine = this.#engine;
    const recorded = await engine.texts.sealAbort(id, abort);
    engine.requireUsable();
    const run = engine.openRun(id);
    if (run === undefined) return this.#requireEndedAction(id);
    const action = run.actions.get(id.action);
    if (action === undefined || run.record.admission !== "admitted") throw actionNotFound(id);
    this.#end(action, recorded);
    await engine.commit();
  }

  /** Children first, so that no commit shows an open action below an ended one. */
  #end(action: ActionState, abort: RecordedAbort): void {
    abortDescendants(this.#engine, action, abort);
    if (action.isOpen) this.#engine.changeAction(action, aborted(action.record, this.#engine.now(), abort));
  }

  async #requireEnded(id: RunId): Promise<void> {
    const { database, org } = this.#engine.options;
    const stored = await database.asOrg(org, (transaction) => readRun(transaction, this.#engine.sealer, id));
    if (stored?.record.admission !== "admitted") throw runNotFound(id);
  }

  async #requireEndedAction(id: ActionId): Promise<void> {
    await this.#requireEnded(id);
    const { database, org, bucket } = this.#engine.options;
    const record = await database.asOrg(org, (transaction) =>
      readAction(transaction, this.#engine.sealer, bucket, id),
    );
    if (record === undefined) throw actionNotFound(id);
  }
}
