/** A queue of attempts whose outcomes a test waits for. Retries are the real queue's concern. */
import type { AttemptId } from "@biplane/base";
import type { ActionQueue, AttemptOutcome, Lease } from "../../runs/types.ts";

export class TestQueue implements ActionQueue {
  readonly outcomes = new Map<string, AttemptOutcome>();
  readonly givenBack: string[] = [];
  readonly #leases: Lease[] = [];
  readonly #interrupted: readonly AttemptId[];
  readonly #waiters = new Map<string, (outcome: AttemptOutcome) => void>();
  #wake: (() => void) | undefined;

  constructor(interrupted: readonly AttemptId[] = []) {
    this.#interrupted = interrupted;
  }

  get left(): number {
    return this.#leases.length;
  }

  submit(lease: Lease): Promise<AttemptOutcome> {
    this.#leases.push(lease);
    this.#wake?.();
    return new Promise((resolve) => this.#waiters.set(nameOf(lease), resolve));
  }

  async lease(signal: AbortSignal): Promise<Lease | undefined> {
    while (!signal.aborted) {
      const lease = this.#leases.shift();
      if (lease !== undefined) return lease;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return undefined;
  }

  async leaseReady(countMax: number): Promise<readonly Lease[]> {
    return this.#leases.splice(0, countMax);
  }

  giveBack(lease: AttemptId): void {
    this.givenBack.push(nameOf(lease));
  }

  async finish(attempt: AttemptId, outcome: AttemptOutcome): Promise<void> {
    this.outcomes.set(nameOf(attempt), outcome);
    this.#waiters.get(nameOf(attempt))?.(outcome);
  }

  async interrupted(): Promise<readonly AttemptId[]> {
    return this.#interrupted;
  }
}

function nameOf(id: AttemptId): string {
  return `${id.run}/${id.action}/${id.attempt}`;
}
