/** The flights example, run as anybody would run it: upload the data, start the run, watch it. */
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BiplaneError } from "@biplane/base";
import { showProgress } from "@biplane/cli/output/progress";
import { size, span } from "@biplane/cli/output/text";
import { File } from "@biplane/sdk";
import { type Connection, RemoteClient, type RemoteRun } from "@biplane/sdk/remote";
import { say, title } from "./say.ts";

export async function runFlights(connection: Connection): Promise<RemoteRun> {
  const root = repositoryRoot();
  const data = join(root, "node_modules/vega-datasets/data/flights-3m.parquet");
  title("The example: delays of three million flights, one action for each of the 229 airports");
  const client = new RemoteClient(connection);
  const uploadMs = Date.now();
  const uri = await client.upload(data);
  say(`Uploaded ${size(statSync(data).size)} by presigned URL in ${span(Date.now() - uploadMs)}: ${uri}`);
  const run = await client.run(
    { file: join(root, "examples/flights/index.ts"), task: "flights" },
    { source: new File(uri, { format: "parquet" }) },
  );
  say(`Started run ${run.name}: both planes have it on disk.`);
  const runMs = Date.now();
  await showProgress(connection, run.id);
  const { succeeded, phase, error } = await run.wait();
  if (succeeded) {
    say(`The run succeeded after ${span(Date.now() - runMs)}.`);
    return run;
  }
  throw new BiplaneError("aborted", {
    what: `The run ${phase}.`,
    ...(error === undefined ? {} : { why: error }),
  });
}

/** Where the examples are: above this file, wherever it was built to. */
function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "examples/flights/index.ts"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new BiplaneError("not_found", "The folder examples/flights is missing.");
    folder = parent;
  }
  return folder;
}
