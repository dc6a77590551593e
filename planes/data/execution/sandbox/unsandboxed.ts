/** Paths for tasks that run without a sandbox: those of this machine. */
import { dirname, join } from "node:path";
import { type InsidePaths, type Installation, snapshotFile } from "./types.ts";

export function unsandboxedPaths(
  installation: Installation,
  socketFolder: string,
  hasSnapshot: boolean,
): InsidePaths {
  const { node, dist, taskModules } = installation;
  return {
    node,
    snapshot: hasSnapshot ? join(dist, snapshotFile) : undefined,
    worker: join(dist, "worker.mjs"),
    sdk: join(dist, "sdk.mjs"),
    firstProcess: undefined,
    installation: taskModules === undefined ? undefined : dirname(taskModules),
    sockets: socketFolder,
    scratch: join(socketFolder, "scratch"),
  };
}
