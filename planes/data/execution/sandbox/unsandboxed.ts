/** Paths for tasks that run without a sandbox: those of this machine. */
import { dirname, join } from "node:path";
import type { InsidePaths, Installation } from "./types.ts";

export function unsandboxedPaths(installation: Installation, socketFolder: string): InsidePaths {
  const { node, dist, taskModules } = installation;
  return {
    node,
    worker: join(dist, "worker.mjs"),
    sdk: join(dist, "sdk.mjs"),
    installation: taskModules === undefined ? undefined : dirname(taskModules),
    sockets: socketFolder,
    scratch: join(socketFolder, "scratch"),
  };
}
