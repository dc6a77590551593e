/**
 * `npm run demo`: starts a whole Biplane, runs the flights example on it, tells in plain words what happened and what
 * each plane holds now, and stops. With `--keep` everything stays up to be looked at.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isBiplaneError } from "@biplane/base";
import { type LocalSystem, startLocalSystem } from "@biplane/cli/dev/local-system";
import { span } from "@biplane/cli/output/text";
import { keepRunning, tellRemains } from "./keep.ts";
import { tellResults } from "./results.ts";
import { runFlights } from "./run-flights.ts";
import { say, title } from "./say.ts";
import { signIn } from "./sign-in.ts";
import { tellControlPlane, tellCrossing, tellDataPlane } from "./what-is-where.ts";

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
  const startedMs = Date.now();
  const folder = await mkdtemp(join(tmpdir(), "biplane-demo-"));
  const system = await start(folder);
  try {
    const { connection, credentials } = await signIn(system);
    const run = await runFlights(connection);
    const saved = await tellResults(connection, run, folder);
    await tellControlPlane(connection, run, system);
    await tellDataPlane(connection, run, system);
    await tellCrossing(connection, run);
    title("Look further");
    say(`The report: ${saved.report}`);
    say(`Logs of the planes: ${system.folders.logs}`);
    say(`All of this took ${span(Date.now() - startedMs)}.`);
    if (values.keep) await keepRunning(folder, system, credentials, run);
    else say("Run `npm run demo -- --keep` to keep it all running and look around with `npx biplane`.");
  } finally {
    await system.close();
    if (!values.keep) await removeStates(system);
    say("\nStopped.");
    if (values.keep) tellRemains(folder);
  }
}

async function start(folder: string): Promise<LocalSystem> {
  title("Biplane starts: three processes, each with a state folder of its own");
  const system = await startLocalSystem({
    folder,
    org: "acme",
    allowUnsandboxed: true,
    onProgress: (part) => say(`starting ${part} …`),
  });
  const [control, edge, data] = system.processes.map((plane) => plane.pid);
  say(`control plane (provider's side, process ${control}), edge (provider's side, ${edge}),`);
  say(
    `data plane (customer's side, ${data}), reachable at ${system.profile.router} through the edge's tunnel only.`,
  );
  if (system.sandbox === "none") {
    say("NOTICE: no sandbox can be made on this machine, so the example's tasks run without one.");
    say("        `apt-get install bubblewrap` would change that.");
  }
  return system;
}

/** The report and the logs stay; keys and data of a system that is gone are of no use to anyone. */
async function removeStates(system: LocalSystem): Promise<void> {
  const { control, edge, data } = system.folders;
  for (const folder of [control, edge, data]) await rm(folder, { recursive: true, force: true });
}

main().then(
  () => process.exit(process.exitCode ?? 0),
  (error: unknown) => {
    const text = isBiplaneError(error) ? error.message : ((error as Error).stack ?? String(error));
    process.stderr.write(`\nThe demo failed. ${text}\n`);
    process.exit(1);
  },
);
