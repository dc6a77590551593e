/** A worker that loads its parts when it starts. Arguments: the SDK's file and, where there is one, the installation's folder. */
import { pathToFileURL } from "node:url";
import { BiplaneError } from "@biplane/base";
import { startWorker, type WorkerParts } from "./start.ts";

const [sdkFile, installation] = process.argv.slice(2);
if (sdkFile === undefined) {
  throw new BiplaneError("invalid_argument", {
    what: "A worker was started without the SDK's file.",
    next: "Workers are started by `biplane data`, not by hand.",
  });
}
const sdk = (await import(pathToFileURL(sdkFile).href)) as WorkerParts["sdk"];
await startWorker({ sdk, installation, importModule: (url) => import(url) });
