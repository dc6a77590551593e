/** Whether workers can start from the snapshot that the build made: it fits one version of Node, and not everywhere. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ExecutorOptions } from "./dependencies.ts";
import { snapshotFile } from "./sandbox/types.ts";

const trialMsMax = 10_000;

/** Tries it once: a snapshot that does not fit would end every worker at its start. */
export async function fitsThisNode(options: Pick<ExecutorOptions, "installation" | "log">): Promise<boolean> {
  const { node, dist } = options.installation;
  const snapshot = join(dist, snapshotFile);
  if (existsSync(snapshot)) {
    const trial = promisify(execFile)(node, ["--snapshot-blob", snapshot, "trial"], {
      env: {},
      timeout: trialMsMax,
    });
    if (
      await trial.then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  options.log.warn(
    { event: "no_worker_snapshot" },
    "workers start slowly: build Biplane with the Node that runs it (npm run build)",
  );
  return false;
}
