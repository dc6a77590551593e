/** An action's lines from the data plane: one stream per attempt, and one attempt after the other. */
import type { flyte } from "@biplane/data-wire";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { isTerminal } from "../running/phases.ts";
import type { Connection } from "./connection.ts";
import { phaseName } from "./phase-names.ts";
import { reopening, watchUntil } from "./reopening.ts";

export interface LogLine {
  readonly at: Date | undefined;
  /** From 1. */
  readonly attempt: number;
  readonly text: string;
  readonly originator: "user" | "system";
}

interface ActionRef {
  readonly run: {
    readonly org: string;
    readonly project: string;
    readonly domain: string;
    readonly name: string;
  };
  readonly name: string;
}

/** One attempt's lines as they come; ends with the attempt. */
export async function* linesOfAttempt(
  connection: Connection,
  actionId: ActionRef,
  attempt: number,
  options: { signal?: AbortSignal },
): AsyncGenerator<LogLine, void> {
  let shown = 0;
  let read = 0;
  const open = () => {
    read = 0;
    return connection.data.tailLogs({ actionId, attempt }, options);
  };
  for await (const { logs } of reopening(open, options.signal)) {
    for (const line of logs.flatMap((batch) => batch.lines)) {
      read += 1;
      if (read <= shown) continue;
      shown = read;
      yield {
        at: line.timestamp === undefined ? undefined : timestampDate(line.timestamp),
        attempt,
        text: line.message.replace(/\n$/, ""),
        originator: line.originator === 2 ? "system" : "user",
      };
    }
  }
}

/** Lines of the attempts from `first` on as they come, with what ended each that another one follows; ends with the action. */
export async function* linesOfAction(
  connection: Connection,
  actionId: ActionRef,
  first: number,
  options: { signal?: AbortSignal },
): AsyncGenerator<LogLine, void> {
  for (let attempt = first; ; attempt += 1) {
    yield* linesOfAttempt(connection, actionId, attempt, options);
    const before = await whenFollowed(connection, actionId, attempt, options);
    if (before === undefined) return;
    yield {
      at: before.endTime === undefined ? undefined : timestampDate(before.endTime),
      attempt,
      text: `Attempt ${attempt} ${phaseName(before.phase)}, attempt ${attempt + 1} follows. ${before.errorInfo?.message ?? ""}`.trimEnd(),
      originator: "system",
    };
  }
}

/** The attempt, once there is another one after it; undefined once the action has ended without. */
async function whenFollowed(
  connection: Connection,
  actionId: ActionRef,
  attempt: number,
  options: { signal?: AbortSignal },
): Promise<flyte.workflow.ActionAttempt | undefined> {
  const open = () => connection.runs.watchActionDetails({ actionId }, options);
  const isFollowed = (details?: flyte.workflow.ActionDetails) => (details?.status?.attempts ?? 0) > attempt;
  const isDecided = (details?: flyte.workflow.ActionDetails) =>
    isFollowed(details) || isTerminal(details?.status?.phase ?? 0);
  const last = await watchUntil(
    open,
    ({ details }) => (isDecided(details) ? details : undefined),
    options.signal,
  );
  return isFollowed(last) ? last.attempts.find((one) => one.attempt === attempt) : undefined;
}
