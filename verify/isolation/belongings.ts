/** What an organization has that a neighbour must not get at: a project, a person, a key, a task and a run. */
import { flyte, identity as people } from "@biplane/data-wire";
import { createClient, type Transport } from "@connectrpc/connect";
import type { Names } from "../requests/fill-request.ts";

export interface Belongings {
  readonly names: Names;
  /** What nobody says who only knows the names. */
  readonly content: string;
}

export async function makeBelongings(org: string, transport: Transport): Promise<Belongings> {
  const content = `content-of-${org}`;
  const [project, domain, run] = [`${org}-project`, "development", `${org}-run`];
  await createClient(flyte.project.ProjectService, transport).createProject({
    project: { id: project, name: content, org },
  });
  const { user } = await createClient(people.UserService, transport).createUser({
    email: `ada@${org}.test`,
    name: content,
  });
  const made = await createClient(people.ApiKeyService, transport).createApiKey({ name: content });
  const taskId = { org, project, domain, name: `${org}-task`, version: "v1" };
  const container = { image: content, command: [content], args: [] };
  const taskSpec = {
    taskTemplate: { id: taskId, target: { case: "container" as const, value: container } },
  };
  await createClient(flyte.task.TaskService, transport).deployTask({ taskId, spec: taskSpec });
  await createClient(flyte.workflow.RunService, transport).createRun({
    id: { case: "runId", value: { org, project, domain, name: run } },
    task: { case: "taskId", value: taskId },
  });
  const names = { org, project, domain, run, task: `${org}-task`, version: "v1", cluster: `${org}-cluster` };
  return { content, names: { ...names, user: user!.subject, key: made.key!.id } };
}
