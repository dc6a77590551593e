/**
 * Runs TypeScript tasks inside a sandbox, one at a time, as the executor sends them. Everything heavy is loaded before
 * the first task comes. Arguments: the SDK's file and, where there is one, the installation's folder.
 */
import { setSourceMapsSupport } from "node:module";
import { pathToFileURL } from "node:url";
import { BiplaneError } from "@biplane/base";
import type { RunTask } from "@biplane/sdk/host";
import { ControlChannel } from "./control.ts";
import { AttemptHost } from "./host.ts";
import { installModuleSources } from "./modules.ts";
import { TaskRunner } from "./runner.ts";

const [sdk, installation] = process.argv.slice(2);
if (sdk === undefined) {
  throw new BiplaneError("invalid_argument", {
    what: "A worker was started without the SDK's file.",
    next: "Workers are started by `biplane data`, not by hand.",
  });
}
installModuleSources({ sdk, installation });
const { runTask } = (await import(pathToFileURL(sdk).href)) as { runTask: RunTask };

// From here on: errors of bundles name lines of the sources that people wrote.
setSourceMapsSupport(true);

const control = new ControlChannel();
const runner = new TaskRunner({
  control,
  host: new AttemptHost(control, process.env["BIPLANE_SOCKETS"] ?? "/run/biplane"),
  runTask,
  folder: process.env["BIPLANE_BUNDLES"] ?? "/tmp",
});
process.on("uncaughtException", (error) => void runner.failUncaught("UncaughtException", error));
process.on("unhandledRejection", (reason) => void runner.failUncaught("UnhandledRejection", reason));
control.listen(
  (message) => runner.receive(message),
  () => process.exit(0),
);
await control.send({ case: "ready", value: {} });
