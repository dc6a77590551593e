/** People of the organization and their sign-ins: `create|get|update|delete user`, `get session`. */
import { BiplaneError } from "@biplane/base";
import { identity } from "@biplane/data-wire";
import type { Connection } from "@biplane/sdk/remote";
import { Command } from "commander";
import { printRecord, printRecords } from "../output/print.ts";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

const stateNames: Readonly<Record<number, string>> = {
  [identity.UserState.INVITED]: "invited",
  [identity.UserState.ACTIVE]: "active",
  [identity.UserState.DISABLED]: "disabled",
};

interface NewUserOptions extends CommonOptions {
  readonly name?: string;
  readonly role?: string;
}

export function createUserCommand(): Command {
  return withCommonOptions(
    new Command("user")
      .description("add a person; prints the code by which they choose a password")
      .argument("<email>")
      .option("--name <text>", "name for people")
      .option("--role <role>", "role in the whole organization"),
  ).action(async (email: string, options: NewUserOptions) => {
    const { users } = await connectWith(options);
    const { user, invitation } = await users.createUser({
      email,
      name: options.name ?? "",
      role: options.role ?? "",
    });
    printRecord({ user: user?.subject, email, ...invitationRecord(invitation) }, options.output);
  });
}

export function getUserCommand(): Command {
  return withCommonOptions(
    new Command("user").description("people of the organization; or one of them").argument("[user]"),
  ).action(async (user: string | undefined, options: CommonOptions) => {
    const { users } = await connectWith(options);
    if (user !== undefined) {
      const { user: found } = await users.getUser({ user });
      printRecord(found === undefined ? {} : userRecord(found), options.output);
      return;
    }
    printRecords(
      (await allUsers(users)).map(userRecord),
      [
        { title: "USER", value: (one) => one.user },
        { title: "E-MAIL", value: (one) => one.email },
        { title: "NAME", value: (one) => one.name },
        { title: "STATE", value: (one) => one.state },
      ],
      options.output,
      "No people yet. `biplane create user EMAIL --role ROLE` adds one.",
    );
  });
}

interface UserChanges extends CommonOptions {
  readonly disable?: boolean;
  readonly enable?: boolean;
  readonly invite?: boolean;
}

export function updateUserCommand(): Command {
  return withCommonOptions(
    new Command("user")
      .description("keep a person out, let them in again, or invite them anew")
      .argument("<user>", "e-mail address or id")
      .option("--disable", "end all their sign-ins and keep them out")
      .option("--enable", "let them sign in again")
      .option("--invite", "a new code to choose a password by"),
  ).action(updateUser);
}

async function updateUser(user: string, options: UserChanges): Promise<void> {
  const { users } = await connectWith(options);
  if (options.invite === true) {
    printRecord(invitationRecord((await users.inviteUser({ user })).invitation), options.output);
  } else if (options.disable === true) {
    await users.disableUser({ user });
    printRecord({ user, state: "disabled" }, options.output);
  } else if (options.enable === true) {
    await users.enableUser({ user });
    printRecord({ user, state: "active" }, options.output);
  } else {
    throw new BiplaneError("invalid_argument", {
      what: "Nothing was to be changed.",
      next: "Give --disable, --enable or --invite.",
    });
  }
}

export function deleteUserCommand(): Command {
  return withCommonOptions(
    new Command("user")
      .description("remove a person, their roles, and the keys that they answer for")
      .argument("<user>", "e-mail address or id"),
  ).action(async (user: string, options: CommonOptions) => {
    await (await connectWith(options)).users.deleteUser({ user });
    printRecord({ user, state: "deleted" }, options.output);
  });
}

export function getSessionCommand(): Command {
  return withCommonOptions(
    new Command("session").description("sign-ins of a person").argument("<user>", "e-mail address or id"),
  ).action(async (user: string, options: CommonOptions) => {
    const { sessions } = await (await connectWith(options)).users.listSessions({ user });
    printRecords(
      sessions.map((one) => ({
        session: one.session,
        client: one.client,
        began: time(one.beganAt),
        ends: time(one.expiresAt),
      })),
      [
        { title: "SESSION", value: (one) => one.session },
        { title: "CLIENT", value: (one) => one.client },
        { title: "BEGAN", value: (one) => one.began },
        { title: "ENDS", value: (one) => one.ends },
      ],
      options.output,
      "Nobody is signed in as this person.",
    );
  });
}

async function allUsers(users: Connection["users"]): Promise<identity.User[]> {
  const all: identity.User[] = [];
  let token = "";
  do {
    const page = await users.listUsers({ token });
    all.push(...page.users);
    ({ token } = page);
  } while (token !== "");
  return all;
}

function userRecord(user: identity.User) {
  return {
    user: user.subject,
    email: user.email,
    name: user.name,
    state: stateNames[user.state] ?? "unknown",
    federated: user.federated,
    groups: user.groups.join(", "),
    created: time(user.createdAt),
  };
}

function invitationRecord(invitation: identity.Invitation | undefined) {
  return { code: invitation?.code, page: invitation?.address, until: time(invitation?.expiresAt) };
}
