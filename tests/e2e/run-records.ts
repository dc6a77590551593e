/** What each plane has on record about a run, in one form, so that the two can be compared with each other. */
import type { flyte } from "@biplane/data-wire";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote/client";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";

export interface AttemptRecord {
  readonly attempt: number;
  readonly phase: number;
  readonly startedMs: number | undefined;
  readonly endedMs: number | undefined;
}

export interface ActionRecord {
  readonly name: string;
  readonly parent: string;
  readonly phase: number;
  readonly attempts: readonly AttemptRecord[];
}

const pageSize = 1_000;

/** From the data plane, by the API that clients use. By name. */
export async function dataPlaneRecords(client: RemoteClient, run: RemoteRun): Promise<ActionRecord[]> {
  const { runs } = client.connection;
  const found: ActionRecord[] = [];
  for (let token = ""; ; ) {
    const page = await runs.listActions({ runId: run.id, request: { limit: pageSize, token } });
    for (const { id, metadata } of page.actions) {
      const { details } = await runs.getActionDetails({ actionId: { run: run.id, name: id!.name } });
      found.push({
        name: id!.name,
        parent: metadata?.parent ?? "",
        phase: details!.status!.phase,
        attempts: details!.attempts.map(attemptOf).sort((a, b) => a.attempt - b.attempt),
      });
    }
    token = page.token;
    if (token === "") return found.sort(byName);
  }
}

function attemptOf({ attempt, phase, startTime, endTime }: flyte.workflow.ActionAttempt): AttemptRecord {
  return { attempt, phase, startedMs: milliseconds(startTime), endedMs: milliseconds(endTime) };
}

/** From the control plane's own records, passed on by the router. By name. */
export async function controlPlaneRecords(client: RemoteClient, run: RemoteRun): Promise<ActionRecord[]> {
  const { records } = client.connection;
  const found: ActionRecord[] = [];
  for (let cursor = ""; ; ) {
    const page = await records.listActions({ run: run.id, page: { limit: pageSize, cursor } });
    for (const { name, parent, phase } of page.actions) {
      const { attempts } = await records.listAttempts({ run: run.id, action: name });
      const listed = attempts.map(({ attempt, phase: reached, startedAt, endedAt }) => ({
        attempt,
        phase: reached,
        startedMs: milliseconds(startedAt),
        endedMs: milliseconds(endedAt),
      }));
      found.push({ name, parent, phase, attempts: listed });
    }
    cursor = page.nextCursor;
    if (cursor === "") return found.sort(byName);
  }
}

function milliseconds(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : timestampMs(time);
}

function byName(a: ActionRecord, b: ActionRecord): number {
  return a.name < b.name ? -1 : 1;
}
