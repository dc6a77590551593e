/** Who may do what: `create|get|update|delete role`, `create|get|delete assignment`, `get policy`. */
import { BiplaneError } from "@biplane/base";
import type { policy as wire } from "@biplane/data-wire";
import { Command } from "commander";
import { printRecord, printRecords } from "../output/print.ts";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";
import { domainsOf } from "./require-place.ts";

interface RoleOptions extends CommonOptions {
  readonly permission: readonly string[];
}

const collect = (value: string, all: readonly string[] = []) => [...all, ...value.split(",")];

function withPermissions(command: Command): Command {
  return withCommonOptions(command).requiredOption(
    "--permission <names>",
    "e.g. run.read,data.read; may be repeated",
    collect,
  );
}

export function createRoleCommand(): Command {
  return withPermissions(
    new Command("role").description("make a role of your own").argument("<name>"),
  ).action(async (name: string, options: RoleOptions) => {
    const { policy } = await connectWith(options);
    printRole((await policy.createRole({ name, permissions: [...options.permission] })).role, options);
  });
}

export function updateRoleCommand(): Command {
  return withPermissions(
    new Command("role").description("change all that a role permits").argument("<name>"),
  ).action(async (name: string, options: RoleOptions) => {
    const { policy } = await connectWith(options);
    printRole((await policy.updateRole({ name, permissions: [...options.permission] })).role, options);
  });
}

export function deleteRoleCommand(): Command {
  return withCommonOptions(
    new Command("role").description("delete a role that nobody has").argument("<name>"),
  ).action(async (name: string, options: CommonOptions) => {
    await (await connectWith(options)).policy.deleteRole({ name });
    printRecord({ role: name, state: "deleted" }, options.output);
  });
}

export function getRoleCommand(): Command {
  return withCommonOptions(
    new Command("role").description("roles, built-in ones first; or one of them").argument("[name]"),
  ).action(async (name: string | undefined, options: CommonOptions) => {
    const { policy } = await connectWith(options);
    if (name !== undefined) return printRole((await policy.getRole({ name })).role, options);
    printRecords(
      (await policy.listRoles({})).roles.map(roleRecord),
      [
        { title: "ROLE", value: (one) => one.role },
        { title: "KIND", value: (one) => one.kind },
        { title: "PERMISSIONS", value: (one) => one.permissions.join(", ") },
      ],
      options.output,
    );
  });
}

function printRole(role: wire.Role | undefined, { output }: CommonOptions): void {
  printRecord(role === undefined ? {} : roleRecord(role), output);
}

function roleRecord({ name, permissions, builtIn }: wire.Role) {
  return { role: name, kind: builtIn ? "built-in" : "own", permissions };
}

interface AssignmentOptions extends CommonOptions {
  readonly role: string;
  readonly user?: string;
  readonly group?: string;
}

export function createAssignmentCommand(): Command {
  return withCommonOptions(
    new Command("assignment")
      .description("give a role to a person, a program or a group: everywhere, or in a project or domain")
      .requiredOption("--role <role>", "`biplane get role` lists them")
      .option("--user <user>", "e-mail address, or id of a person or program")
      .option("--group <name>", "at your own OpenID provider"),
  ).action(async (options: AssignmentOptions) => {
    const connection = await connectWith(options);
    if (options.project !== undefined) await domainsOf(connection, options.project);
    const { assignment } = await connection.policy.createAssignment({
      principal: principalOf(options),
      role: options.role,
      project: options.project ?? "",
      domain: options.domain ?? "",
    });
    printRecord(assignment === undefined ? {} : assignmentRecord(assignment), options.output);
  });
}

function principalOf({ user, group }: AssignmentOptions) {
  if (user !== undefined && group === undefined) return { case: "subject", value: user } as const;
  if (group !== undefined && user === undefined) return { case: "group", value: group } as const;
  throw new BiplaneError("invalid_argument", {
    what: "An assignment is for one user or one group.",
    next: "Give --user or --group.",
  });
}

export function getAssignmentCommand(): Command {
  return withCommonOptions(new Command("assignment").description("who has which role where")).action(
    async (options: CommonOptions) => {
      const { policy } = await connectWith(options);
      const all: wire.Assignment[] = [];
      let token = "";
      do {
        const page = await policy.listAssignments({ limit: 1_000, token });
        all.push(...page.assignments);
        ({ token } = page);
      } while (token !== "");
      printRecords(
        all.map(assignmentRecord),
        [
          { title: "ASSIGNMENT", value: (one) => one.assignment },
          { title: "ROLE", value: (one) => one.role },
          { title: "WHO", value: (one) => one.user ?? `group ${one.group}` },
          { title: "PROJECT", value: (one) => one.project || "all" },
          { title: "DOMAIN", value: (one) => one.domain || "all" },
        ],
        options.output,
      );
    },
  );
}

export function assignmentRecord({ id, principal, role, project, domain }: wire.Assignment) {
  return {
    assignment: id,
    role,
    ...(principal.case === "subject" ? { user: principal.value } : {}),
    ...(principal.case === "group" ? { group: principal.value } : {}),
    project,
    domain,
  };
}

export function updateAssignmentCommand(): Command {
  return withCommonOptions(
    new Command("assignment")
      .description("another role, project (-p) or domain (-d) for whoever has it; what is not given stays")
      .argument("<id>", "as `biplane get assignment` shows it")
      .option("--role <role>", "`biplane get role` lists them"),
  ).action(async (id: string, options: CommonOptions & { readonly role?: string }) => {
    const { role, project, domain } = options;
    const { policy } = await connectWith(options);
    const { assignment } = await policy.updateAssignment({
      id,
      ...(role === undefined ? {} : { role }),
      ...(project === undefined ? {} : { project }),
      ...(domain === undefined ? {} : { domain }),
    });
    printRecord(assignment === undefined ? {} : assignmentRecord(assignment), options.output);
  });
}

export function deleteAssignmentCommand(): Command {
  return withCommonOptions(
    new Command("assignment")
      .description("take a role away")
      .argument("<id>", "as `biplane get assignment` shows it"),
  ).action(async (id: string, options: CommonOptions) => {
    await (await connectWith(options)).policy.deleteAssignment({ id });
    printRecord({ assignment: id, state: "deleted" }, options.output);
  });
}

export function getPolicyCommand(): Command {
  return withCommonOptions(
    new Command("policy").description("the signed policy that both planes decide by, as Cedar reads it"),
  ).action(async (options: CommonOptions) => {
    const { policy } = await connectWith(options);
    const { version, issuedAt, expiresAt, signed, schema, policies } = await policy.getPolicy({});
    if (options.output === "table") {
      printRecord({ version, issued: time(issuedAt), expires: time(expiresAt) }, "table");
      for (const { id, text } of policies) process.stdout.write(`\n// ${id}\n${text}\n`);
      return;
    }
    printRecord(
      { version, issued: time(issuedAt), expires: time(expiresAt), schema, policies, signed },
      options.output,
    );
  });
}
