/** Sub-actions and traces that a running attempt reports. Idempotent by name, refused from an attempt that is over. */
import { type ActionId, type AttemptId, BiplaneError, cutText, KiB, limits, type RunId } from "@biplane/base";
import { isTerminal } from "@biplane/control-wire";
import type { ProjectKey } from "../keys/types.ts";
import { attemptUri } from "../store/attempt-column.ts";
import { digestOf } from "../store/document-rows.ts";
import type { Engine } from "./engine.ts";
import { noRetries } from "./specs.ts";
import { ActionState } from "./state.ts";
import { requireTime } from "./times.ts";
import { newTaskAction } from "./transitions.ts";
import type { ActionRecord, NewChild, NewTrace, RecordedFailure } from "./types.ts";

/** A group or a step may be called anything; this much of it is held while the run is open. */
const titleBytesMax = KiB;

type SealedTrace = Omit<NewTrace, "failure"> & { readonly failure: RecordedFailure | undefined };

export class Children {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async enqueueChildren(parent: AttemptId, children: readonly NewChild[]): Promise<void> {
    const engine = this.#engine;
    // Parsed before anything is decided: one unreadable specification refuses the whole request.
    for (const child of children) engine.summaries.of(child.taskSpec);
    const key = await engine.documents.keyOf(parent.project);
    engine.requireUsable();
    const owner = this.#requireRunning(parent);
    const fresh = this.#withoutKnown(owner, children);
    this.#requireRoom(owner, fresh);
    for (const child of fresh) {
      const task = engine.summaries.of(child.taskSpec);
      engine.storeDocument(key, parent.project, task.digest, child.taskSpec);
      const record = newTaskAction({
        id: { ...idOf(parent), action: child.name },
        parent: parent.action,
        group: cutText(child.group, titleBytesMax),
        inputUri: child.inputUri,
        createdBy: owner.record.createdBy,
        task,
        atMs: engine.now(),
        bucket: engine.options.bucket,
      });
      this.#add(owner, record, task.retry);
    }
    await engine.commit();
  }

  async recordTraces(parent: AttemptId, traces: readonly NewTrace[]): Promise<void> {
    const engine = this.#engine;
    const key = await engine.documents.keyOf(parent.project);
    const sealed = await Promise.all(traces.map((trace) => this.#sealFailure(parent, trace)));
    engine.requireUsable();
    const owner = this.#requireRunning(parent);
    for (const trace of traces) requireEnded(trace);
    const fresh = this.#withoutKnown(owner, sealed);
    this.#requireRoom(owner, fresh);
    for (const trace of fresh) this.#add(owner, this.#traceRecord(owner, trace, key), noRetries);
    await engine.commit();
  }

  async #sealFailure(run: RunId, trace: NewTrace): Promise<SealedTrace> {
    const failure = trace.failure && (await this.#engine.texts.sealFailure(run, trace.failure));
    return { ...trace, failure };
  }

  #add(owner: ActionState, record: ActionRecord, retry: ActionState["retry"]): void {
    const stored = { record, depth: owner.depth + 1, retry, notBeforeMs: 0, updatedAtMs: this.#engine.now() };
    this.#engine.addAction(new ActionState(owner.run, owner, stored));
  }

  /** An attempt that was given up must not go on adding to what its successor does. */
  #requireRunning(parent: AttemptId): ActionState {
    const action = this.#engine.openRun(parent)?.actions.get(parent.action);
    if (action?.isRunning(parent.attempt)) return action;
    throw new BiplaneError(
      "aborted",
      {
        what: `Attempt ${parent.attempt} of action ${parent.action} is over.`,
        why: "It ended, was aborted, or another attempt took its place.",
      },
      { reason: "attempt_over" },
    );
  }

  #withoutKnown<T extends { readonly name: ActionId["action"] }>(
    owner: ActionState,
    reported: readonly T[],
  ): readonly T[] {
    const names = new Set<string>();
    return reported.filter(({ name }) => {
      const known = owner.run.actions.get(name);
      if (known !== undefined && known.parent !== owner) throw nameOfAnother(name);
      const isNew = known === undefined && !names.has(name);
      names.add(name);
      return isNew;
    });
  }

  #requireRoom(owner: ActionState, fresh: readonly unknown[]): void {
    if (fresh.length === 0) return;
    if (owner.depth + 1 > limits.actionDepthMax) {
      throw new BiplaneError("invalid_argument", {
        what: `Action ${owner.record.action} can't start another one.`,
        why: `Actions nest at most ${limits.actionDepthMax} deep; this is how an endless recursion ends.`,
        next: "Check the condition that ends the recursion.",
      });
    }
    if (owner.run.actions.size + fresh.length > limits.actionsPerRunMax) {
      throw new BiplaneError("invalid_argument", {
        what: `The run ${owner.run.record.run} can't have more actions.`,
        why: `A run has at most ${limits.actionsPerRunMax} of them.`,
        next: "Give each action more work, or split the run.",
      });
    }
  }

  #traceRecord(owner: ActionState, trace: SealedTrace, key: ProjectKey): ActionRecord {
    const engine = this.#engine;
    const specDigest = trace.spec === undefined ? undefined : digestOf(trace.spec);
    if (specDigest !== undefined) engine.storeDocument(key, owner.record.project, specDigest, trace.spec!);
    const title = cutText(trace.functionName, titleBytesMax);
    const ended = { phase: trace.phase, atMs: trace.endedAtMs };
    return {
      ...idOf(owner.record),
      action: trace.name,
      parent: owner.record.action,
      kind: "trace",
      group: cutText(trace.group, titleBytesMax),
      taskName: title,
      taskVersion: "",
      taskType: "",
      shortName: title,
      environmentName: owner.record.environmentName,
      specDigest,
      inputUri: "",
      outputUri: trace.outputUri,
      phase: trace.phase,
      createdBy: owner.record.createdBy,
      createdAtMs: trace.startedAtMs,
      startedAtMs: trace.startedAtMs,
      endedAtMs: trace.endedAtMs,
      attempts: [
        {
          attempt: 1,
          phase: trace.phase,
          startedAtMs: trace.startedAtMs,
          endedAtMs: trace.endedAtMs,
          transitions: [ended],
          failure: trace.failure,
          outputPrefix: attemptUri(engine.options.bucket, {
            ...idOf(owner.record),
            action: trace.name,
            attempt: 1,
          }),
          hasReport: false,
          logsAvailable: false,
        },
      ],
      failure: trace.failure,
      abort: undefined,
    };
  }
}

function idOf({ org, project, domain, run, action }: ActionId): ActionId {
  return { org, project, domain, run, action };
}

function requireEnded(trace: NewTrace): void {
  requireTime(trace.startedAtMs, `The start of ${trace.name}`);
  requireTime(trace.endedAtMs, `The end of ${trace.name}`);
  if (isTerminal(trace.phase)) return;
  throw new BiplaneError("invalid_argument", `The trace ${trace.name} has not ended.`);
}

function nameOfAnother(name: string): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `The name ${name} belongs to an action that another one started.`,
    why: "Names of actions are unique in a run.",
    next: "Derive names from the parent's name too.",
  });
}
