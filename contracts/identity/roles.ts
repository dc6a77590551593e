/** What can be permitted, and the built-in roles as sets of it. */

export const permissions = [
  "identity.self",
  "cluster.select",
  "project.read",
  "project.create",
  "project.update",
  "task.read",
  "task.deploy",
  "run.read",
  "run.create",
  "run.abort",
  "data.read",
  "data.upload",
  /** A task's own sub-actions; no role has these, only a running attempt has them. */
  "children.read",
  "children.write",
  /** What the control plane knows, and what was ever said to it. */
  "records.read",
  "border.read",
  "trigger.read",
  "trigger.write",
  /** Their names; nobody reads back what is in them. */
  "secret.read",
  "secret.write",
  /** Roles and assignments. */
  "policy.read",
  "policy.write",
  /** The customer's keys. */
  "keys.read",
  "keys.write",
  "audit.read",
  /** People, programs' credentials, sign-ins, and the authority's keys. */
  "identity.read",
  "identity.manage",
  /** Which clusters the organization has. */
  "cluster.manage",
] as const;

export type Permission = (typeof permissions)[number];

const viewer: readonly Permission[] = [
  "identity.self",
  "cluster.select",
  "project.read",
  "task.read",
  "run.read",
  "data.read",
  "records.read",
  "trigger.read",
  "secret.read",
];
const contributor: readonly Permission[] = [
  ...viewer,
  "task.deploy",
  "run.create",
  "run.abort",
  "data.upload",
  "trigger.write",
  "secret.write",
];
const admin: readonly Permission[] = [
  ...contributor,
  "project.create",
  "project.update",
  "border.read",
  "policy.read",
  "policy.write",
  "keys.read",
  "keys.write",
  "audit.read",
  "identity.read",
  "identity.manage",
  "cluster.manage",
];

export const roles = {
  Admin: new Set(admin),
  Contributor: new Set(contributor),
  Viewer: new Set(viewer),
} as const satisfies Record<string, ReadonlySet<Permission>>;

export type RoleName = keyof typeof roles;

export function isRoleName(name: string): name is RoleName {
  return Object.hasOwn(roles, name);
}

/**
 * Granted by an assignment that merely touches the resource: someone with rights in one project-domain may read the
 * project's entry, which belongs to all of its domains.
 */
export const broadPermissions: ReadonlySet<Permission> = new Set<Permission>([
  "identity.self",
  "cluster.select",
  "project.read",
]);

/** What a task may do with its submitter's rights, inside its own project-domain (architecture section 3). */
export const delegatedPermissions: ReadonlySet<Permission> = new Set<Permission>([
  "identity.self",
  "cluster.select",
  "project.read",
  "task.read",
  "run.read",
  "run.create",
  "run.abort",
  "data.read",
  "data.upload",
]);
