/** `--keep`: the system stays up, and this machine's CLI knows it as profile `demo`. */
import { addProfile } from "@biplane/cli/commands/config";
import type { MachineCredentials } from "@biplane/cli/dev/first-administrator";
import { type LocalSystem, untilAskedToEnd } from "@biplane/cli/dev/local-system";
import { size } from "@biplane/cli/output/text";
import { ConfigStore, type RemoteRun } from "@biplane/sdk/remote";
import { folderBytes } from "./folder-bytes.ts";
import { say } from "./say.ts";
import { project } from "./sign-in.ts";

export const profileName = "demo";

export async function keepRunning(
  folder: string,
  system: LocalSystem,
  credentials: MachineCredentials,
  run: RemoteRun,
): Promise<void> {
  // Before anything is said of Ctrl-C: it may come at once.
  const asked = untilAskedToEnd();
  const store = new ConfigStore();
  await addProfile(profileName, system.profilePath, project);
  await store.saveCredentials(profileName, { kind: "client", ...credentials });
  await store.update((config) => ({ ...config, current: profileName }));
  say(`\nIt keeps running. In another terminal, in this folder (profile "${profileName}"):`);
  const { name } = run;
  for (const command of [
    "get runs",
    `get run ${name}`,
    `get run ${name} --from control-plane`,
    `get action ${name}`,
    `io ${name}`,
    `logs ${name}`,
    "border",
    "audit query --since 1h",
    "verify",
    "run examples/flights/index.ts flights --help",
  ]) {
    say(`  npx biplane ${command}`);
  }
  say(`The run's page: ${run.url}`);
  say(
    `\nCtrl-C stops it. Its states, ${size(await folderBytes(folder))}, stay in ${folder} until you remove them:`,
  );
  say(`  ${removal(folder)}`);
  await asked;
}

/** Said once more where it ends: nothing else on this machine knows of the folder. */
export function tellRemains(folder: string): void {
  say(`The states are in ${folder}. To start it again, or to be rid of it:`);
  say(`  npx biplane dev --state ${folder} --profile-name ${profileName} --project ${project}`);
  say(`  ${removal(folder)}`);
}

function removal(folder: string): string {
  return `rm -r ${folder}; npx biplane config remove ${profileName}`;
}
