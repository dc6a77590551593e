/**
 * Which action runs next: round robin over the runs, so that a large fan-out does not keep a small run waiting; within
 * a run first come, first served. Runs at their concurrency limit are passed over. Retries wait for their time.
 */
import type { ActionState, RunState } from "./state.ts";
import { TimeHeap } from "./time-heap.ts";

export class ReadyQueue {
  /** In turn order; a run is here as long as it has waiting actions. */
  readonly #runs = new Map<RunState, Fifo>();
  readonly #delayed = new TimeHeap<ActionState>();

  add(action: ActionState, nowMs: number): void {
    if (action.notBeforeMs > nowMs) this.#delayed.push(action.notBeforeMs, action);
    else this.#enqueue(action);
  }

  /** Whether actions of the run wait whose time has come; what ended while it waited may count until its turn. */
  hasWaiting(run: RunState): boolean {
    return this.#runs.has(run);
  }

  /** When the next delayed action's time comes. */
  nextTimeMs(): number | undefined {
    return this.#delayed.firstTime();
  }

  /** Takes the next action whose time has come, of a run with room; the caller leases it at once. */
  take(nowMs: number): ActionState | undefined {
    for (let due = this.#delayed.popUntil(nowMs); due !== undefined; due = this.#delayed.popUntil(nowMs)) {
      if (due.isWaiting) this.#enqueue(due);
    }
    for (const [run, waiting] of this.#runs) {
      if (!run.hasRoom) continue;
      const action = waiting.takeFirst((candidate) => candidate.isWaiting);
      this.#runs.delete(run);
      if (action === undefined) continue;
      this.#runs.set(run, waiting);
      return action;
    }
    return undefined;
  }

  #enqueue(action: ActionState): void {
    const waiting = this.#runs.get(action.run);
    if (waiting === undefined) this.#runs.set(action.run, new Fifo(action));
    else waiting.push(action);
  }
}

/** Amortized constant time at both ends; actions that ended while they waited are dropped when their turn comes. */
class Fifo {
  #items: ActionState[];
  #first = 0;

  constructor(action: ActionState) {
    this.#items = [action];
  }

  push(action: ActionState): void {
    this.#items.push(action);
  }

  takeFirst(isWanted: (action: ActionState) => boolean): ActionState | undefined {
    while (this.#first < this.#items.length) {
      const action = this.#items[this.#first]!;
      this.#first += 1;
      this.#compact();
      if (isWanted(action)) return action;
    }
    return undefined;
  }

  #compact(): void {
    if (this.#first < 1_024 || this.#first * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
  }
}
