/** Projects: the one thing that the control plane decides about, beside admission (rule of state 1). */
import { BiplaneError, defaultDomains, parseProjectId, parseRegionRestriction } from "@biplane/base";
import {
  type CreateProjectRequest,
  type ListProjectsRequest,
  type Project,
  ProjectSchema,
  type UpdateOrganizationRequest,
  type UpdateProjectRequest,
} from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import type { Selectable } from "kysely";
import { toTimestamp } from "../runs/rows.ts";
import { cutPage, readPage } from "../store/cursors.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import type { ProjectTable } from "../store/schema.ts";

export async function createProject(
  store: Store,
  org: string,
  request: CreateProjectRequest,
  nowMs: number,
): Promise<Project> {
  const id = parseProjectId(request.id);
  const row = {
    org_id: org,
    id,
    display_name_sealed: store.seal(namePlace(org, id), request.displayName),
    archived: false,
    regions: "",
    created_at: nowMs,
  };
  const inserted = await store.asOrg(org, (transaction) =>
    transaction
      .insertInto("project")
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .returning("id")
      .executeTakeFirst(),
  );
  if (inserted === undefined) {
    throw new BiplaneError("already_exists", {
      what: `There is a project ${id} already.`,
      next: "Use it, or choose another id.",
    });
  }
  return getProject(store, org, id);
}

export async function updateProject(
  store: Store,
  org: string,
  { id, displayName, archived, regions }: UpdateProjectRequest,
): Promise<Project> {
  const changes = {
    ...(displayName === undefined
      ? {}
      : { display_name_sealed: store.seal(namePlace(org, id), displayName) }),
    ...(archived === undefined ? {} : { archived }),
    ...(regions === undefined ? {} : { regions: joinRegions(regions.regions) }),
  };
  if (Object.keys(changes).length > 0) {
    await store.asOrg(org, (transaction) =>
      transaction
        .updateTable("project")
        .set(changes)
        .where((where) => where.and({ org_id: org, id }))
        .execute(),
    );
  }
  return getProject(store, org, id);
}

/** Where runs of all its projects may be; a project's own restriction holds besides (claim RES-2). */
export async function updateOrganization(
  store: Store,
  org: string,
  { regions }: UpdateOrganizationRequest,
): Promise<void> {
  if (regions === undefined) return;
  const joined = joinRegions(regions.regions);
  await store.asOrg(org, (transaction) =>
    transaction.updateTable("organization").set({ regions: joined }).where("org_id", "=", org).execute(),
  );
}

export async function getProject(store: Store, org: string, id: string): Promise<Project> {
  const row = await store.asOrg(org, (transaction) =>
    projectRows(transaction, org).where("project.id", "=", id).executeTakeFirst(),
  );
  if (row !== undefined) return projectOf(store, row);
  throw new BiplaneError("not_found", {
    what: "There is no such project in this organization.",
    next: "List the projects, or create it.",
  });
}

/** By id. */
export async function listProjects(store: Store, org: string, request: ListProjectsRequest) {
  const scope = { org, list: "projects", filters: [] };
  const page = readPage(store, scope, request.page);
  const rows = await store.asOrg(org, (transaction) => {
    let query = projectRows(transaction, org);
    if (page.after !== undefined) query = query.where("project.id", ">", String(page.after[0]));
    return query
      .orderBy("project.id")
      .limit(page.limit + 1)
      .execute();
  });
  const cut = cutPage(store, scope, page, rows, (row) => [row.id]);
  return { projects: cut.items.map((row) => projectOf(store, row)), nextCursor: cut.nextCursor };
}

function projectRows(transaction: ControlTransaction, org: string) {
  return transaction
    .selectFrom("project")
    .innerJoin("organization", "organization.org_id", "project.org_id")
    .selectAll("project")
    .select("organization.regions as organization_regions")
    .where("project.org_id", "=", org);
}

type ProjectRow = Selectable<ProjectTable> & { readonly organization_regions: string };

function projectOf(store: Store, row: ProjectRow): Project {
  return create(ProjectSchema, {
    org: row.org_id,
    id: row.id,
    displayName: store.open(namePlace(row.org_id, row.id), row.display_name_sealed),
    domains: [...defaultDomains],
    archived: row.archived,
    regions: splitRegions(row.regions),
    organizationRegions: splitRegions(row.organization_regions),
    createdAt: toTimestamp(row.created_at),
  });
}

const regionsMax = 16;

/** Each is checked; together they fit into one column. */
function joinRegions(regions: readonly string[]): string {
  const joined = [...new Set(regions.map(parseRegionRestriction))].join(" ");
  if (regions.length <= regionsMax && joined.length <= 255) return joined;
  throw new BiplaneError("invalid_argument", {
    what: "Runs can't be restricted to so many regions.",
    next: "Use beginnings of names, as eu-*.",
  });
}

export function splitRegions(text: string): string[] {
  return text === "" ? [] : text.split(" ");
}

function namePlace(org: string, id: string) {
  return { org, table: "project", column: "display_name", key: [id] } as const;
}
