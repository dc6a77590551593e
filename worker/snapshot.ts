/**
 * A worker that starts from a snapshot of memory in which worker and SDK are loaded already: an eighth of the time that
 * loading them takes. `npm run build` makes the snapshot; it fits the Node that made it only. Argument: the
 * installation's folder, where there is one, or `trial`: end at once, to see whether the snapshot fits.
 */
import { startupSnapshot } from "node:v8";
import { constants, Script } from "node:vm";
import * as sdk from "@biplane/sdk";
import { warmUp } from "@biplane/sdk/running/warm-up";
import type { ImportModule } from "./bundle.ts";
import { startWorker } from "./start.ts";

warmUp().catch((error: unknown) => {
  // No snapshot rather than one that makes broken workers: they load their parts then.
  console.error(error);
  process.exit(1);
});

// The bundle may have renamed a class, such as the one that is called as a global of Node is.
for (const [name, value] of Object.entries(sdk)) {
  if (typeof value === "function" && value.name !== name)
    Object.defineProperty(value, "name", { value: name });
}

startupSnapshot.setDeserializeMainFunction(() => {
  const [installation] = process.argv.slice(1);
  if (installation === "trial") return;
  void startWorker({ sdk, installation, importModule: importer() });
});

/** `import()`, which code that comes out of a snapshot lacks. Node warns of it once: that must not be in a task's log. */
function importer(): ImportModule {
  const options = { importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER };
  const importModule = new Script("(url) => import(url)", options).runInThisContext() as ImportModule;
  let isFirst = true;
  return async (url) => {
    if (!isFirst) return importModule(url);
    isFirst = false;
    const { emitWarning } = process;
    process.emitWarning = () => {};
    return importModule(url).finally(() => {
      process.emitWarning = emitWarning;
    });
  };
}
