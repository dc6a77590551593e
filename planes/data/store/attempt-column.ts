/**
 * Attempts of an action inside its row: phases, times and codes as compact JSON that may be read without a key; the
 * texts of their failures go to the sealed column.
 */
import type { AttemptId } from "@biplane/base";
import { attemptPrefix, objectUri } from "@biplane/layout";
import type { AttemptRecord, RecordedFailure, Text } from "../runs/types.ts";

interface PlainFailure {
  readonly code: string;
  readonly kind: "user" | "system";
  readonly recoverable: boolean;
}

/** Phase, start, end, transitions as [phase, time], report, logs, failure; the attempt's number is its place. */
type PlainAttempt = readonly [
  phase: number,
  startedAtMs: number | null,
  endedAtMs: number | null,
  transitions: readonly (readonly [number, number])[],
  hasReport: 0 | 1,
  logsAvailable: 0 | 1,
  failure: PlainFailure | null,
];

export function encodeAttempts(attempts: readonly AttemptRecord[]): string {
  return JSON.stringify(attempts.map(encodeAttempt));
}

/** One text per attempt, in order; null for those without a failure. */
export function failureTexts(attempts: readonly AttemptRecord[]): readonly (Text | null)[] {
  return attempts.map(({ failure }) => failure?.message ?? null);
}

export function decodeAttempts(
  bucket: string,
  action: Omit<AttemptId, "attempt">,
  encoded: string,
  texts: readonly (Text | null)[],
): readonly AttemptRecord[] {
  const plain = JSON.parse(encoded) as readonly PlainAttempt[];
  return plain.map((attempt, index) =>
    decodeAttempt(attempt, index + 1, attemptUri(bucket, { ...action, attempt: index + 1 }), texts[index]),
  );
}

/** Directory of an attempt's outputs. */
export function attemptUri(bucket: string, attempt: AttemptId): string {
  return objectUri(bucket, attemptPrefix(attempt));
}

function encodeAttempt(attempt: AttemptRecord): PlainAttempt {
  const { failure } = attempt;
  return [
    attempt.phase,
    attempt.startedAtMs ?? null,
    attempt.endedAtMs ?? null,
    attempt.transitions.map(({ phase, atMs }) => [phase, atMs] as const),
    attempt.hasReport ? 1 : 0,
    attempt.logsAvailable ? 1 : 0,
    failure === undefined
      ? null
      : { code: failure.code, kind: failure.kind, recoverable: failure.recoverable },
  ];
}

function decodeAttempt(
  [phase, startedAtMs, endedAtMs, transitions, hasReport, logsAvailable, failure]: PlainAttempt,
  attempt: number,
  outputPrefix: string,
  text: Text | null | undefined,
): AttemptRecord {
  return {
    attempt,
    phase,
    startedAtMs: startedAtMs ?? undefined,
    endedAtMs: endedAtMs ?? undefined,
    transitions: transitions.map(([at, atMs]) => ({ phase: at, atMs })),
    failure: failure === null ? undefined : ({ ...failure, message: text ?? "" } satisfies RecordedFailure),
    outputPrefix,
    hasReport: hasReport === 1,
    logsAvailable: logsAvailable === 1,
  };
}
