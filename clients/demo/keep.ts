/** `--keep`: the system stays up, and this machine's CLI knows it as profile `demo`. */
import { addProfile } from "@biplane/cli/commands/config";
import type { MachineCredentials } from "@biplane/cli/dev/first-administrator";
import { type LocalSystem, untilAskedToEnd } from "@biplane/cli/dev/local-system";
import { ConfigStore, type RemoteRun } from "@biplane/sdk/remote";
import { say } from "./say.ts";
import { project } from "./sign-in.ts";

export const profileName = "demo";

export async function keepRunning(
  system: LocalSystem,
  credentials: MachineCredentials,
  run: RemoteRun,
): Promise<void> {
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
  say(`The run's page: ${run.url}\nCtrl-C stops it.`);
  await untilAskedToEnd();
}
