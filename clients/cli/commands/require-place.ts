/** A mistyped name must not look like one under which nothing has happened yet. */
import { BiplaneError } from "@biplane/base";
import { type Connection, requireProject } from "@biplane/sdk/remote";
import { Code, ConnectError } from "@connectrpc/connect";

/** For lists that came back empty: refused where the project, or its domain, is not there. */
export async function requirePlace(connection: Connection): Promise<void> {
  const project = requireProject(connection);
  const domains = await domainsOf(connection, project);
  if (domains === undefined || domains.includes(connection.domain)) return;
  throw new BiplaneError("not_found", {
    what: `Project ${project} has no domain ${connection.domain}.`,
    why: `Its domains are ${domains.join(", ")}.`,
    next: "Give one of them: --domain, BIPLANE_DOMAIN, or `biplane config set domain NAME`.",
  });
}

/** Undefined where this person may not see the project itself, or nobody can be asked. */
export async function domainsOf(connection: Connection, project: string): Promise<string[] | undefined> {
  try {
    const { project: found } = await connection.projects.getProject({ id: project });
    return found?.domains.map(({ id }) => id);
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.NotFound) return undefined;
    throw new BiplaneError(
      "not_found",
      {
        what: `There is no project ${project} in organization ${connection.profile.org}.`,
        next: `\`biplane get project\` lists them; \`biplane create project ${project}\` makes it.`,
      },
      { cause: error },
    );
  }
}

export function taskNotFound(name: string): BiplaneError {
  return new BiplaneError("not_found", {
    what: `There is no deployed task ${JSON.stringify(name)}.`,
    next: "`biplane get task` lists them; `biplane deploy FILE` deploys a module's tasks.",
  });
}
