/** Runs TypeScript tasks inside a sandbox, one at a time, as the executor sends them. */
import { setSourceMapsSupport } from "node:module";
import type { RunTask } from "@biplane/sdk/host";
import { type ImportModule, rehearseImport } from "./bundle.ts";
import { ControlChannel } from "./control.ts";
import { openEgress } from "./egress/open.ts";
import { AttemptHost } from "./host.ts";
import { installModuleSources, type ModuleSources, sdkUrl } from "./modules.ts";
import { TaskRunner } from "./runner.ts";

export interface WorkerParts extends ModuleSources {
  readonly importModule: ImportModule;
  readonly sdk: { readonly runTask: RunTask } & Readonly<Record<string, unknown>>;
}

/** Resolves once the executor was told that a task may come. Everything heavy is loaded by then. */
export async function startWorker(parts: WorkerParts): Promise<void> {
  const { sdk, importModule } = parts;
  installModuleSources(parts);
  await importModule(sdkUrl);
  // From here on: errors of bundles name lines of the sources that people wrote.
  setSourceMapsSupport(true);
  const { env } = process;
  const control = new ControlChannel();
  const socketFolder = env["BIPLANE_SOCKETS"] ?? "/run/biplane";
  const routerEndpoint = env["BIPLANE_ROUTER"] ?? "";
  const host = new AttemptHost({ control, socketFolder, routerEndpoint });
  const port = Number(env["BIPLANE_EGRESS"] ?? 0);
  if (port > 0) openEgress({ port, socketFolder, host: new URL(routerEndpoint).hostname });
  const folder = env["BIPLANE_BUNDLES"] ?? "/tmp";
  const runner = new TaskRunner({ control, host, runTask: sdk.runTask, importModule, folder });
  process.on("uncaughtException", (error) => void runner.failUncaught("UncaughtException", error));
  process.on("unhandledRejection", (reason) => void runner.failUncaught("UnhandledRejection", reason));
  control.listen(
    (message) => runner.receive(message),
    () => process.exit(0),
  );
  await control.send({ case: "ready", value: {} });
  // A task may come meanwhile: it only finds less of it done.
  await Promise.allSettled([host.connect(), rehearseImport(importModule, folder)]);
}
