/** What one transaction writes: every change decided since the transaction before it began. */
import type { RunId } from "@biplane/base";
import type { NewDocument } from "../store/document-rows.ts";
import type { RepeatKey, UsedNonce } from "../store/key-rows.ts";
import type { StoredTask } from "../store/task-rows.ts";
import type { ActionState, RunState } from "./state.ts";

export interface Batch {
  /** By their names. */
  readonly documents: Map<string, NewDocument>;
  /** Forgotten before anything is written: their names may be taken again in the same batch. */
  readonly forgottenRuns: RunId[];
  readonly runs: Set<RunState>;
  /** With the numbers of the attempts that changed. */
  readonly actions: Map<ActionState, Set<number>>;
  readonly createdRuns: Set<RunState>;
  readonly withdrawnRuns: RunId[];
  readonly tasks: StoredTask[];
  readonly repeatKeys: RepeatKey[];
  readonly forgottenRepeatKeys: string[];
  readonly nonces: UsedNonce[];
  acknowledged: bigint | undefined;
  /** Run once everything is on disk, before those who wait are answered. */
  readonly afterCommit: (() => void)[];
}

export function newBatch(): Batch {
  return {
    documents: new Map(),
    forgottenRuns: [],
    runs: new Set(),
    actions: new Map(),
    createdRuns: new Set(),
    withdrawnRuns: [],
    tasks: [],
    repeatKeys: [],
    forgottenRepeatKeys: [],
    nonces: [],
    acknowledged: undefined,
    afterCommit: [],
  };
}

export function isEmptyBatch(batch: Batch): boolean {
  return Object.values(batch).every((part: Batch[keyof Batch]) => {
    if (part === undefined || typeof part === "bigint") return part === undefined;
    return ("size" in part ? part.size : part.length) === 0;
  });
}
