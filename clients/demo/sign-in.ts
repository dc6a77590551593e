/** The first administrator, by the claim that the data plane printed; and a project to work in. */
import { BiplaneError, Secret } from "@biplane/base";
import { ensureProject } from "@biplane/cli/commands/create";
import { type MachineCredentials, redeemClaim } from "@biplane/cli/dev/first-administrator";
import type { LocalSystem } from "@biplane/cli/dev/local-system";
import { type Connection, openConnection } from "@biplane/sdk/remote";
import { say, title } from "./say.ts";

export const project = "flights";

export async function signIn(
  system: LocalSystem,
): Promise<{ connection: Connection; credentials: MachineCredentials }> {
  title("The customer's first administrator signs in, at the customer's own identity authority");
  const credentials =
    system.claim === undefined ? undefined : await redeemClaim(system.profile, system.claim);
  if (credentials === undefined) throw new BiplaneError("internal", "There is no claim to begin with.");
  const connection = await openConnection({
    profile: system.profilePath,
    project,
    clientId: credentials.clientId,
    clientSecret: new Secret(credentials.clientSecret),
  });
  await ensureProject(connection, project);
  say(`Signed in with the one-time claim at ${system.profile.authority}; made the project "${project}".`);
  return { connection, credentials };
}
