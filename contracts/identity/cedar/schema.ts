/** The one schema of Cedar: what there is in an organization, who acts in it, and which action is about what. */
import { broadPermissions, type Permission, permissions } from "../roles.ts";

/** Where roles are assigned, from the whole down to the part. */
export const scopeTypes = ["Organization", "Domain", "Project", "ProjectDomain"] as const;
export type ScopeType = (typeof scopeTypes)[number];

export const principalTypes = { user: "User", service: "Service", task: "Attempt" } as const;

/** What permissions of a family are about, where that is something inside a scope. */
const inside: Readonly<Record<string, string>> = {
  run: "Run",
  data: "Run",
  task: "Task",
  trigger: "Trigger",
  secret: "Secret",
  cluster: "Cluster",
  policy: "Policy",
};

/** The type of thing inside a scope that a permission is about; undefined where it is about the scope itself. */
export function typeInside(permission: Permission): string | undefined {
  return broadPermissions.has(permission) ? undefined : inside[permission.split(".")[0]!];
}

const entities = `
entity Organization;
entity Domain, Project in [Organization];
entity ProjectDomain in [Project, Domain];
entity ${[...new Set(Object.values(inside))].join(", ")} in [${scopeTypes.join(", ")}];

// What a principal holds under one role's name: everything that its assignments of that role reach.
entity Holding in [${scopeTypes.join(", ")}] {
  organizations: Set<Organization>,
  domains: Set<Domain>,
  projects: Set<Project>,
  projectDomains: Set<ProjectDomain>,
};
entity User, Service tags Holding;
// A running attempt has its submitter's holdings, inside its own project-domain.
entity Attempt { home: ProjectDomain } tags Holding;
`;

function actionOf(permission: Permission): string {
  const resources = typeInside(permission) ?? `[${scopeTypes.join(", ")}]`;
  const principals = Object.values(principalTypes).join(", ");
  return `action "${permission}" appliesTo { principal: [${principals}], resource: ${resources} };`;
}

/** Only a running attempt has its own sub-actions, and no policy can give or take them. */
export const decidedByPolicy = permissions.filter((permission) => !permission.startsWith("children."));

export const cedarSchema = `${entities}\n${decidedByPolicy.map(actionOf).join("\n")}\n`;
