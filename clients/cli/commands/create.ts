/** `biplane create`: new things. */
import { defaultDomains, parseProjectId } from "@biplane/base";
import { Command } from "commander";
import { printRecord } from "../output/print.ts";
import { createApiKeyCommand } from "./api-keys.ts";
import { createClusterCommand } from "./clusters.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";
import { createAssignmentCommand, createRoleCommand } from "./roles.ts";
import { createUserCommand } from "./users.ts";

interface ProjectOptions extends CommonOptions {
  readonly name?: string;
  readonly description?: string;
}

export function createCommand(): Command {
  const project = withCommonOptions(
    new Command("project")
      .description("make a project, with the domains development, staging and production")
      .argument("<id>", "lower-case letters, digits and hyphens")
      .option("--name <text>", "name for people")
      .option("--description <text>", "kept in the data plane"),
  ).action(createProject);
  return new Command("create")
    .description(
      "make a project, a user, a program's credentials, a role, an assignment, or a code for a further cluster",
    )
    .addCommand(project)
    .addCommand(createUserCommand())
    .addCommand(createApiKeyCommand())
    .addCommand(createRoleCommand())
    .addCommand(createAssignmentCommand())
    .addCommand(createClusterCommand());
}

async function createProject(id: string, options: ProjectOptions): Promise<void> {
  const connection = await connectWith(options);
  await connection.projects.createProject({
    project: {
      id: parseProjectId(id),
      name: options.name ?? id,
      description: options.description ?? "",
      org: connection.profile.org,
      domains: defaultDomains.map((domain) => ({ id: domain, name: domain })),
    },
  });
  printRecord({ project: id, domains: defaultDomains.join(", ") }, options.output);
}

/** For programs that need a project and don't mind if it is there. */
export async function ensureProject(
  connection: Awaited<ReturnType<typeof connectWith>>,
  id: string,
): Promise<void> {
  try {
    await connection.projects.createProject({
      project: {
        id,
        name: id,
        org: connection.profile.org,
        domains: defaultDomains.map((domain) => ({ id: domain, name: domain })),
      },
    });
  } catch (error) {
    const alreadyExists = 6;
    if ((error as { code?: unknown }).code !== alreadyExists) throw error;
  }
}
