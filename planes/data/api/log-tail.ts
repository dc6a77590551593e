/** Log lines of one attempt, live until it ends, the same lines afterwards. */
import { type ActionId, BiplaneError, MiB } from "@biplane/base";
import { isTerminal } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";
import type { LogLine } from "../logs/types.ts";
import { timestamp } from "./messages/times.ts";
import { attemptOf, bareActionId } from "./names.ts";
import type { ApiParts } from "./parts.ts";

const { LogLineOriginator } = flyte.logs;
const originators = { user: LogLineOriginator.USER, system: LogLineOriginator.SYSTEM } as const;
const linesPerMessage = 1_000;
const charactersPerMessage = 2 * MiB;

export async function* tailLogs(
  parts: Pick<ApiParts, "runs" | "logs">,
  action: ActionId,
  asked: number,
  signal: AbortSignal,
) {
  const attempt = attemptOf(bareActionId(action), await attemptToRead(parts, action, asked));
  if (!(await waitForLines(parts, action, attempt.attempt, signal))) return;
  for await (const lines of parts.logs.tail(attempt, signal)) {
    for (const chunk of inMessages(lines)) yield { logs: [{ lines: chunk.map(lineMessage) }] };
  }
}

/** 0 means the newest. */
async function attemptToRead(
  parts: Pick<ApiParts, "runs">,
  action: ActionId,
  asked: number,
): Promise<number> {
  const { attempts } = await parts.runs.getAction(action);
  if (asked <= attempts.length) return asked === 0 ? Math.max(1, attempts.length) : asked;
  throw new BiplaneError("not_found", {
    what: `Action ${action.action} has no attempt ${asked}.`,
    why: `It has ${attempts.length}.`,
    next: "Name none for the newest.",
  });
}

/** Clients do not reconnect: an attempt that has printed nothing yet is waited for. */
async function waitForLines(
  parts: Pick<ApiParts, "runs" | "logs">,
  action: ActionId,
  attempt: number,
  signal: AbortSignal,
): Promise<boolean> {
  const id = attemptOf(bareActionId(action), attempt);
  for await (const record of parts.runs.watchAction(action, signal)) {
    if (await parts.logs.has(id)) return true;
    const ended = record.attempts.length > attempt || isTerminal(record.phase);
    if (ended) return parts.logs.has(id);
  }
  return parts.logs.has(id);
}

function* inMessages(lines: readonly LogLine[]): Generator<readonly LogLine[]> {
  let chunk: LogLine[] = [];
  let characters = 0;
  for (const line of lines) {
    const full = chunk.length >= linesPerMessage || characters + line.message.length > charactersPerMessage;
    if (chunk.length > 0 && full) {
      yield chunk;
      chunk = [];
      characters = 0;
    }
    chunk.push(line);
    characters += line.message.length;
  }
  if (chunk.length > 0) yield chunk;
}

function lineMessage(line: LogLine) {
  return {
    timestamp: timestamp(line.atMs),
    // Clients print messages as they are.
    message: line.message.endsWith("\n") ? line.message : `${line.message}\n`,
    originator: originators[line.originator],
  };
}
