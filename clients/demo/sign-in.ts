/** The first administrator, by the claim that the data plane printed; and a project to work in. */
import { type MachineCredentials, makeAdministrator } from "@biplane/cli/dev/first-administrator";
import type { LocalSystem } from "@biplane/cli/dev/local-system";
import type { Connection } from "@biplane/sdk/remote";
import { say, title } from "./say.ts";

export const project = "flights";

export async function signIn(
  system: LocalSystem,
): Promise<{ connection: Connection; credentials: MachineCredentials }> {
  title("The customer's first administrator signs in, at the customer's own identity authority");
  const administrator = await makeAdministrator(system, project);
  say(`Signed in with the one-time claim at ${system.profile.authority}; made the project "${project}".`);
  return administrator;
}
