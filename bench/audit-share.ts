/**
 * Which part of a submission's time audit costs: submitted to a data plane with its control plane, both in this process,
 * in turns with audit as it is and with records that both planes forget at once.
 */
import type { ActionName, ProjectDomain } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { AuditLog } from "@biplane/kit/audit-log";
import { codeBundlesPrefix, objectUri } from "@biplane/layout";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { startTestPlane, type TestPlane, testOrg } from "../planes/data/plane.testing.ts";
import { percentiles, timed } from "./runs-common.ts";
import { type BenchRow, ratioRow } from "./types.ts";

const warmups = 20;
const submissions = 200;
const scope = { org: testOrg, project: "flights", domain: "development" } as ProjectDomain;

export async function shareOfStart(): Promise<BenchRow> {
  const recording = switchableRecording();
  const plane = await startTestPlane();
  const times = { on: [] as number[], off: [] as number[] };
  try {
    const submit = await prepare(plane);
    for (let index = 0; index < warmups + submissions; index += 1) {
      for (const state of ["on", "off"] as const) {
        recording.isOn = state === "on";
        const ms = await timed(submit);
        if (index >= warmups) times[state].push(ms);
      }
    }
  } finally {
    recording.isOn = true;
    await plane.close();
  }
  const referenceValue = percentiles(times.on).p50;
  const row = {
    measure: "share-of-start.p50",
    unit: "ms",
    value: referenceValue - percentiles(times.off).p50,
    reference:
      "CreateRun until it is acknowledged; value: how much sooner it is without audit in either plane",
    referenceValue,
  };
  return ratioRow(row, { atMost: 0.1 });
}

/** Of every log of this process. */
function switchableRecording(): { isOn: boolean } {
  const recording = { isOn: true };
  for (const name of ["record", "recordAll"] as const) {
    const record = AuditLog.prototype[name] as (input: unknown) => Promise<void>;
    const switched = async function (this: AuditLog, input: unknown): Promise<void> {
      if (recording.isOn) await record.call(this, input);
    };
    Object.defineProperty(AuditLog.prototype, name, { value: switched });
  }
  return recording;
}

/** As far as a submission goes, a bundle is any object. */
async function prepare(plane: TestPlane): Promise<() => Promise<unknown>> {
  const { token } = await plane.client("Admin");
  const transport = plane.transport(token);
  const { project: id, domain } = scope;
  await createClient(flyte.project.ProjectService, transport).createProject({ project: { id, name: id } });
  const key = `${codeBundlesPrefix(scope)}bench/fast1.tar.gz`;
  await plane.stores.objects.store.put(key, Buffer.from("a bundle"));
  const name = "hello" as ActionName;
  const spec = create(flyte.task.TaskSpecSchema, {
    shortName: name,
    taskTemplate: {
      id: { project: id, domain, name, version: "v1" },
      type: "typescript",
      target: { case: "container", value: { args: ["biplane-worker", "--tgz", objectUri("biplane", key)] } },
    },
  });
  const runs = createClient(flyte.workflow.RunService, transport);
  const inputs = create(flyte.task.InputsSchema);
  return () =>
    runs.createRun({
      id: { case: "projectId", value: { organization: testOrg, name: id, domain } },
      task: { case: "taskSpec", value: spec },
      inputWrapper: { case: "inputs", value: inputs },
    });
}
