/** FLOW-5: data goes from task to task through the object store inside the data plane. */
import { setTimeout as delay } from "node:timers/promises";
import type { RemoteRun } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import { eventually } from "../frame/eventually.ts";
import type { Subject } from "../frame/subject.ts";
import { whileFrozen } from "../machine/freeze.ts";
import { bytesMoved } from "../machine/process-io.ts";
import { workflowFile } from "../machine/sources.ts";
import { currentVersion, disable, makeKeyProject } from "../scenes/key-project.ts";

const width = 12;
const expected = Array.from({ length: width }, (_, n) => n * n).reduce((sum, one) => sum + one, 0);

export const flow5: Claim = {
  id: "FLOW-5",
  text: "Data passed between tasks goes task to object store to task inside the data plane; neither client nor control plane is on the way.",
  from: "machine",
  alone: ["planes"],
  msMax: 180_000,

  async prove(subject, seen) {
    const { control } = subject.planes;
    const run = await start(subject, 300);
    const before = bytesMoved(control.pid);
    await whileFrozen(control.pid, async () => {
      const result = await run.wait(AbortSignal.any([subject.signal, AbortSignal.timeout(60_000)]));
      seen.holds(
        `stopped the control plane's process right after a fan-out over ${width} tasks was submitted`,
        result.succeeded,
        `the run ${result.phase} without it`,
      );
      const total = await run.outputs();
      seen.holds(
        "read its result, which the last task made of the others' files",
        total === expected,
        `${String(total)}`,
      );
    });
    const moved = bytesMoved(control.pid) - before;
    seen.note(`the control plane's process read and wrote ${moved} bytes meanwhile, and goes on now.`);
    const { records, runs } = subject.connection;
    const { actions } = await runs.listActions({ runId: run.id, request: { limit: 100 } });
    await eventually(
      () => records.listActions({ run: run.id, page: { limit: 100 } }),
      (page) =>
        page.actions.length === actions.length &&
        page.actions.every(({ phase }) => phase === 5 || phase === 10),
      { withinMs: 60_000, what: "The index holding every action and its end" },
    );
    seen.holds("waited until its index had the run", true, `all ${actions.length} actions with their ends`);
  },

  async control(subject, seen) {
    const project = await makeKeyProject(subject);
    await project.client.upload(workflowFile("fan-out.ts"));
    const run = await start(subject, 3_000, project.client);
    await delay(1_000);
    const enable = await disable(subject, project, await currentVersion(project));
    const ended = await run.wait(AbortSignal.any([subject.signal, AbortSignal.timeout(60_000)])).then(
      ({ succeeded, phase, error }) => (succeeded ? "" : `the run ${phase}: ${error}`),
      // Its own record is under the same key.
      (error: Error) => `the run can't go on: ${error.message}`,
    );
    await enable();
    const found = ended === "" ? [] : [ended];
    return seen.caught(
      "the object store cut off for the run's project, by its key, while the tasks computed",
      found,
      /the run/,
    );
  },
};

function start(subject: Subject, pauseMs: number, client = subject.client): Promise<RemoteRun> {
  return client.run({ file: workflowFile("fan-out.ts"), task: "sum" }, { width, pauseMs });
}
