/** Attempts in the hands of an executor. They outlive a reload of the engine's memory: the processes go on meanwhile. */
import type { AttemptId } from "@biplane/base";
import { isTerminal } from "@biplane/control-wire";
import { runKey } from "./state.ts";
import type { ActionRecord } from "./types.ts";

interface HeldLease {
  readonly id: AttemptId;
  readonly controller: AbortController;
  /** The executor itself reported the end: nothing is left to kill. */
  finishing: boolean;
}

export class Leases {
  readonly #held = new Map<string, HeldLease>();

  hold(id: AttemptId, controller: AbortController): void {
    this.#held.set(key(id), { id, controller, finishing: false });
  }

  isHeld(id: AttemptId): boolean {
    return this.#held.has(key(id));
  }

  /** Nobody executes it after all. */
  drop(id: AttemptId): void {
    this.#held.delete(key(id));
  }

  markFinishing(id: AttemptId): void {
    const held = this.#held.get(key(id));
    if (held !== undefined) held.finishing = true;
  }

  held(): readonly AttemptId[] {
    return [...this.#held.values()].map(({ id }) => id);
  }

  /** Ends those of the action's attempts that are over. */
  endFinished(record: ActionRecord): void {
    // The one that ended and the one that follows it; earlier ones ended with earlier commits.
    for (const { attempt, phase } of record.attempts.slice(-2)) {
      if (isTerminal(phase)) this.end({ ...record, attempt });
    }
  }

  /** The attempt's end is on disk: whoever executes it is told to stop. */
  end(id: AttemptId): void {
    const held = this.#held.get(key(id));
    this.#held.delete(key(id));
    if (held !== undefined && !held.finishing) held.controller.abort();
  }
}

function key(id: AttemptId): string {
  return `${runKey(id)}/${id.action}/${id.attempt}`;
}
