/** Which changes of runs and attempts are audited: phases of runs, and attempts that failed, by their codes. */
import type { AuditRecord } from "./record.ts";

interface RunName {
  readonly project: string;
  readonly domain: string;
  readonly name: string;
}

/** What both planes know of a change: a projection of the link, as far as it matters here. */
export interface LifecycleChange {
  readonly case: string | undefined;
  readonly value?: unknown;
}

interface Projection {
  readonly run?: RunName;
  readonly action?: string;
  readonly attempt?: number;
  readonly phase?: number;
  readonly failureCode?: string;
}

export type LifecycleEvent = Pick<
  AuditRecord,
  "code" | "project" | "domain" | "run" | "action" | "attempt" | "phase" | "reason"
>;

/** What was said last of so many runs and attempts is known: a change that changes no phase is no event. */
const rememberedMax = 10_000;

export class Lifecycle {
  readonly #phaseName: (phase: number) => string;
  readonly #last = new Map<string, number>();
  #inSnapshot = false;

  constructor(phaseName: (phase: number) => string) {
    this.#phaseName = phaseName;
  }

  eventsOf(changes: Iterable<LifecycleChange>): LifecycleEvent[] {
    const events: LifecycleEvent[] = [];
    for (const change of changes) {
      const event = this.#eventOf(change);
      if (event !== undefined) events.push(event);
    }
    return events;
  }

  #eventOf({ case: kind, value }: LifecycleChange): LifecycleEvent | undefined {
    // A snapshot says again what is; nothing happens in it.
    if (kind === "snapshotBegin" || kind === "snapshotEnd") this.#inSnapshot = kind === "snapshotBegin";
    if (this.#inSnapshot || (kind !== "runUpdated" && kind !== "attemptUpdated")) return undefined;
    const { run, action, attempt, phase = 0, failureCode = "" } = value as Projection;
    if (run === undefined) return undefined;
    const isAttempt = kind === "attemptUpdated";
    if (isAttempt && failureCode === "") return undefined;
    const name = [run.project, run.domain, run.name, ...(isAttempt ? [action, attempt] : [])].join("/");
    if (!this.#isNew(name, phase)) return undefined;
    return {
      code: isAttempt ? "ATTEMPT_FAILED" : "RUN_PHASE_CHANGED",
      project: run.project,
      domain: run.domain,
      run: run.name,
      ...(isAttempt ? { action: action ?? "", attempt: attempt ?? 0 } : {}),
      phase: this.#phaseName(phase),
      ...(failureCode === "" ? {} : { reason: failureCode }),
    };
  }

  #isNew(name: string, phase: number): boolean {
    if (this.#last.get(name) === phase) return false;
    this.#last.delete(name);
    this.#last.set(name, phase);
    const [oldest] = this.#last.keys();
    if (this.#last.size > rememberedMax && oldest !== undefined) this.#last.delete(oldest);
    return true;
  }
}
