/** Our records of runs as Flyte's messages. A run's message is its root action's, with the run's labels. */
import { rootAction } from "@biplane/base";
import { appendSupplement, flyte, supplement } from "@biplane/data-wire";
import { create } from "@bufbuild/protobuf";
import type { RunRecord } from "../../runs/types.ts";
import { runIdentifier } from "../names.ts";
import type { MessageContext } from "./action.ts";
import { timestamp } from "./times.ts";

export function runMessage(record: RunRecord, context: MessageContext): flyte.workflow.Run {
  const message = create(flyte.workflow.RunSchema, {
    action: {
      id: { run: runIdentifier(record), name: rootAction },
      metadata: {
        executedBy: context.nameOf(record.createdBy),
        actionType: flyte.workflow.ActionType.TASK,
        spec: { case: "task", value: taskMetadata(record) },
        source: record.source,
      },
      status: status(record),
    },
  });
  const labels = create(supplement.RunSupplementSchema, { labels: { ...record.labels } });
  return appendSupplement(message, supplement.RunSupplementSchema, labels);
}

function taskMetadata(record: RunRecord) {
  const { org, project, domain, taskName, taskVersion } = record;
  const shortName = taskName.split(".").at(-1) ?? taskName;
  return { id: { org, project, domain, name: taskName, version: taskVersion }, shortName };
}

function status(record: RunRecord) {
  const { createdAtMs, startedAtMs, endedAtMs } = record;
  return {
    phase: record.phase as number,
    startTime: timestamp(startedAtMs ?? createdAtMs),
    endTime: timestamp(endedAtMs),
    attempts: 1,
    ...(endedAtMs === undefined
      ? {}
      : { durationMs: BigInt(Math.max(0, Math.round(endedAtMs - (startedAtMs ?? createdAtMs)))) }),
  };
}
