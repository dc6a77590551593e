/** `biplane dev`: both planes and the edge on this machine, ready to be used from another terminal. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { BiplaneError } from "@biplane/base";
import { ConfigStore, type Profile } from "@biplane/sdk/remote";
import { Command, InvalidArgumentError, Option } from "commander";
import { makeAdministrator } from "../dev/first-administrator.ts";
import { type LocalSystem, startLocalSystem, untilAskedToEnd } from "../dev/local-system.ts";
import { printRecord } from "../output/print.ts";
import { parseCount } from "./common.ts";
import { addProfile } from "./config.ts";

interface DevOptions {
  readonly state?: string;
  readonly portBase?: number;
  readonly slots?: number;
  readonly org: string;
  readonly cluster: string;
  readonly allowUnsandboxed?: boolean;
  readonly controlDatabaseUrl?: string;
  readonly dataDatabaseUrl?: string;
  readonly profileName: string;
  readonly project: string;
}

export function devCommand(): Command {
  return new Command("dev")
    .description("run a whole Biplane on this machine: control plane, edge and data plane as three processes")
    .option("--state <folder>", "base of their state folders (BIPLANE_DEV_STATE; ~/.local/share/biplane/dev)")
    .addOption(new Option("--port-base <port>", "first of five ports").argParser(parsePort))
    .addOption(new Option("--slots <count>", "tasks that run at the same time").argParser(parseCount))
    .option("--org <name>", "organization", "local")
    .option("--cluster <name>", "cluster", "home")
    .option("--profile-name <name>", "name of the profile on this machine", "dev")
    .option("--project <name>", "project made on the first start", "default")
    .option("--control-database-url <url>", "PostgreSQL for the control plane")
    .option("--data-database-url <url>", "PostgreSQL for the data plane")
    .option("--allow-unsandboxed", "run tasks without a sandbox where none can be made")
    .action(dev);
}

const portBaseMax = 65_531;

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port <= portBaseMax) return port;
  throw new InvalidArgumentError(`It is a port from 1 to ${portBaseMax}; the next four are used as well.`);
}

async function dev(options: DevOptions): Promise<void> {
  const { state, profileName, project, ...others } = options;
  const base = state ?? process.env["BIPLANE_DEV_STATE"] ?? join(homedir(), ".local/share/biplane/dev");
  const system = await startLocalSystem({
    ...others,
    folder: resolve(base),
    needsClaim: async (profile) => !(await isSignedIn(profileName, profile)),
    onProgress: (part) => process.stderr.write(`starting ${part}…\n`),
  });
  try {
    // Before anything else: Ctrl-C may come at once, and waits for what has begun.
    const end = untilEnd(system);
    end.catch(() => undefined);
    await makeUsable(system, profileName, project);
    announce(system, profileName);
    await end;
  } finally {
    process.stderr.write("stopping…\n");
    await system.close();
  }
}

/** Whether the profile's credentials are of this installation: an earlier start may have been cut off before they were kept. */
async function isSignedIn(profileName: string, own: Profile): Promise<boolean> {
  const store = new ConfigStore();
  const kept = (await store.read()).profiles[profileName]?.profile;
  return kept?.rootPem === own.rootPem && (await store.credentials(profileName)) !== undefined;
}

/**
 * Where there is a claim: an administrator, and a project. The credentials are kept last: a start that is cut off before is
 * made good by the next one.
 */
async function makeUsable(system: LocalSystem, profileName: string, project: string): Promise<void> {
  const made = system.claim === undefined ? undefined : await makeAdministrator(system, project);
  await addProfile(profileName, system.profilePath, project);
  if (made === undefined) return;
  await new ConfigStore().saveCredentials(profileName, { kind: "client", ...made.credentials });
}

function announce(system: LocalSystem, profileName: string): void {
  const { router, authority, objects } = system.profile;
  const { control, data, logs } = system.folders;
  const states = { "control plane's state": control, "data plane's state": data, logs };
  printRecord({ router, authority, objects, ...states, profile: profileName }, "table");
  process.stderr.write(
    `\nReady. In another terminal:\n  biplane whoami --profile ${profileName}\n  biplane run FILE.ts TASK --wait --profile ${profileName}\nCtrl-C stops it; the state stays.\n`,
  );
}

async function untilEnd(system: LocalSystem): Promise<void> {
  const signal = untilAskedToEnd().then(() => undefined);
  const deaths = system.processes.map((plane) => plane.ended.then(() => plane));
  const dead = await Promise.race([signal, ...deaths]);
  if (dead === undefined) return;
  throw new BiplaneError("unavailable", {
    what: `\`biplane ${dead.name}\` ended by itself.`,
    next: `Its log is ${dead.logPath}.`,
  });
}
