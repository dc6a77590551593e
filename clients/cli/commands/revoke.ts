/** `biplane revoke`: rights that end now; `biplane logout`: one's own on this machine; `biplane update|delete`. */
import { ConfigStore, discover, KnownServers, PinnedHttp } from "@biplane/sdk/remote";
import { Command } from "commander";
import * as oauth from "openid-client";
import { printRecord } from "../output/print.ts";
import { deleteApiKeyCommand } from "./api-keys.ts";
import { deleteClusterCommand } from "./clusters.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";
import { updateOrganizationCommand, updateProjectCommand } from "./residency.ts";
import {
  deleteAssignmentCommand,
  deleteRoleCommand,
  updateAssignmentCommand,
  updateRoleCommand,
} from "./roles.ts";
import { deleteUserCommand, updateUserCommand } from "./users.ts";

export function revokeCommand(): Command {
  const user = withCommonOptions(
    new Command("user")
      .description("end all sign-ins of a person; they may sign in again")
      .argument("<user>", "e-mail address or id"),
  ).action(async (name: string, options: CommonOptions) => {
    await (await connectWith(options)).users.revokeUser({ user: name });
    printRecord({ user: name, sessions: "ended" }, options.output);
  });
  const session = withCommonOptions(
    new Command("session")
      .description("end one sign-in of a person")
      .argument("<user>", "e-mail address or id")
      .argument("<session>", "as `biplane get session USER` shows it"),
  ).action(async (name: string, id: string, options: CommonOptions) => {
    await (await connectWith(options)).users.revokeSession({ user: name, session: id });
    printRecord({ user: name, session: id, state: "ended" }, options.output);
  });
  return new Command("revoke")
    .description("end sign-ins and credentials, tokens that are in date included")
    .addCommand(user)
    .addCommand(session)
    .addCommand(deleteApiKeyCommand());
}

export function updateCommand(): Command {
  return new Command("update")
    .description("change what there is")
    .addCommand(updateUserCommand())
    .addCommand(updateOrganizationCommand())
    .addCommand(updateProjectCommand())
    .addCommand(updateRoleCommand())
    .addCommand(updateAssignmentCommand());
}

export function deleteCommand(): Command {
  return new Command("delete")
    .description("remove what there is")
    .addCommand(deleteUserCommand())
    .addCommand(deleteApiKeyCommand())
    .addCommand(deleteRoleCommand())
    .addCommand(deleteAssignmentCommand())
    .addCommand(deleteClusterCommand());
}

export function logoutCommand(): Command {
  return new Command("logout")
    .description("end this machine's sign-in, at the authority too")
    .option("--profile <name>", "a remembered profile; the one in use otherwise")
    .action(logout);
}

/** Forgets the credentials in any case: an authority that is away must not keep them here. */
async function logout(options: { profile?: string }): Promise<void> {
  const store = new ConfigStore();
  const { name, entry } = await store.entry(options.profile);
  const stored = await store.credentials(name);
  await store.saveCredentials(name, undefined);
  if (stored?.kind === "user" && stored.refreshToken !== undefined) {
    const http = new PinnedHttp(new KnownServers(entry.profile));
    try {
      const configuration = await discover(entry.profile, http, entry.profile.publicClientId);
      await oauth.tokenRevocation(configuration, stored.refreshToken, { token_type_hint: "refresh_token" });
    } finally {
      http.close();
    }
  }
  process.stderr.write(`Signed out of profile ${name}.\n`);
}
