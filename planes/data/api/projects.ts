/** Projects: the control plane keeps their names, this cluster what people wrote about them. */
import { BiplaneError, isBiplaneError, limits, parseProjectId } from "@biplane/base";
import type { Project } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";
import { decide } from "@biplane/identity/decide";
import { fromConnectError } from "@biplane/kit/connect-errors";
import { create } from "@bufbuild/protobuf";
import { type AuthorizedCall, authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { clampLimit } from "./messages/lists.ts";
import type { ApiParts } from "./parts.ts";
import { parseProjectFilters } from "./project-filters.ts";

const { ProjectState, ProjectSchema } = flyte.project;
/** A bound on the pages asked of the control plane for one list. */
const projectsMax = 10_000;

export function projectService(parts: ApiParts) {
  return serve(flyte.project.ProjectService, {
    createProject: async (request, context) => {
      const call = authorizedCall(context);
      const project = requireProject(request.project);
      const index = parts.controlPlane.index(call.principal);
      const id = parseProjectId(project.id);
      const answer = await passErrors(index.createProject({ id, displayName: project.name || id }));
      if (answer.project !== undefined) await parts.projects.remember([answer.project]);
      await parts.projects.describe(id, detailsOf(project));
      return {};
    },
    updateProject: async (request, context) => {
      const call = authorizedCall(context);
      const project = requireProject(request.project);
      const id = parseProjectId(project.id);
      const index = parts.controlPlane.index(call.principal);
      const archived = isArchived(project.state);
      const displayName = project.name === "" ? {} : { displayName: project.name };
      const answer = await passErrors(index.updateProject({ id, archived, ...displayName }));
      if (answer.project !== undefined) await parts.projects.remember([answer.project]);
      await parts.projects.describe(id, detailsOf(project));
      return {};
    },
    getProject: async (request, context) => {
      const call = authorizedCall(context);
      return { project: projectMessage(parts, await findProject(parts, call, parseProjectId(request.id))) };
    },
    listProjects: async (request, context) => {
      const call = authorizedCall(context);
      const wanted = parseProjectFilters(request.filters);
      const rest = (await allProjects(parts, call)).filter(({ id }) => id > request.token);
      const limit = clampLimit(request.limit);
      const page: Project[] = [];
      let token = "";
      // No further than the page goes: a first decision costs a fraction of a millisecond, and there may be thousands.
      for (const project of rest) {
        if (!wanted(project) || !mayRead(parts, call, project.id)) continue;
        if (page.length === limit) {
          token = page.at(-1)!.id;
          break;
        }
        page.push(project);
      }
      return { projects: { projects: page.map((project) => projectMessage(parts, project)), token } };
    },
  });
}

/** From the control plane; from the cache while it is away. */
async function findProject(parts: ApiParts, call: AuthorizedCall, id: string): Promise<Project> {
  const index = parts.controlPlane.index(call.principal);
  const found = await orUnavailable(async () => (await passErrors(index.getProject({ id }))).project);
  const project = found === "unavailable" ? parts.projects.entry(id) : found;
  if (project === undefined) throw new BiplaneError("not_found", `There is no project ${id}.`);
  if (found !== "unavailable") await parts.projects.remember([project]);
  return project;
}

/** From the control plane, remembered; from the cache while it is away. */
export async function allProjects(parts: ApiParts, call: AuthorizedCall): Promise<readonly Project[]> {
  const index = parts.controlPlane.index(call.principal);
  const found = await orUnavailable(async () => {
    const projects: Project[] = [];
    let cursor = "";
    do {
      const page = { limit: limits.listLimitMax, cursor };
      const answer = await passErrors(index.listProjects({ page }));
      projects.push(...answer.projects);
      cursor = answer.nextCursor;
    } while (cursor !== "" && projects.length < projectsMax);
    return projects;
  });
  if (found === "unavailable") return parts.projects.entries();
  await parts.projects.remember(found);
  return found.toSorted((left, right) => (left.id < right.id ? -1 : 1));
}

function mayRead(parts: ApiParts, call: AuthorizedCall, project: string): boolean {
  const resource = { org: call.org, project };
  return decide(call.principal, "project.read", resource, parts.policy.bundle).kind === "allowed";
}

export function projectMessage(parts: Pick<ApiParts, "org" | "projects">, project: Project) {
  const details = parts.projects.details(project.id);
  return create(ProjectSchema, {
    org: parts.org,
    id: project.id,
    name: project.displayName || project.id,
    domains: project.domains.map((id) => ({ id, name: id })),
    description: details.description,
    labels: { values: { ...details.labels } },
    state: project.archived ? ProjectState.ARCHIVED : ProjectState.ACTIVE,
  });
}

function detailsOf(project: flyte.project.Project) {
  return { description: project.description.slice(0, 4_096), labels: { ...project.labels?.values } };
}

function isArchived(state: flyte.project.ProjectState): boolean {
  return state === ProjectState.ARCHIVED || state === ProjectState.SYSTEM_ARCHIVED;
}

function requireProject(project: flyte.project.Project | undefined): flyte.project.Project {
  if (project !== undefined) return project;
  throw new BiplaneError("invalid_argument", "The request names no project.");
}

/** What the index refuses is refused here in the same words. */
export async function passErrors<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fromConnectError(error);
  }
}

async function orUnavailable<T>(work: () => Promise<T>): Promise<T | "unavailable"> {
  try {
    return await work();
  } catch (error) {
    if (isBiplaneError(error, "unavailable")) return "unavailable";
    throw error;
  }
}
