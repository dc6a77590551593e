/**
 * One row for each served method: plane, permission, resource, audit code. Default deny: a method without a row can't
 * be served, and a row without a method fails a test.
 */
import type { AuditCode } from "@biplane/audit";
import type { Permission } from "@biplane/identity";

/** Where a request names its resource. `at` lists fields, first one set wins; `""` is the request itself. */
export interface ResourceRule {
  readonly kind: "organization" | "project" | "project-domain" | "run" | "action";
  readonly at: readonly string[];
}

export interface RpcRow {
  /** Who answers: the data plane from its own state, or the control plane's index asked over the link. */
  readonly plane: "data" | "index";
  readonly permission: Permission | "anonymous";
  readonly resource: ResourceRule;
  /** What else it may name and reads then: a right in one project gives nothing of another one's. */
  readonly uses?: { readonly permission: Permission; readonly resource: ResourceRule };
  readonly audit: AuditCode;
  /** Whether the method changes anything: then its audit record is on disk before it runs. */
  readonly changes: boolean;
  /** It only checks and reads at first, and awaits the record itself before it changes anything. */
  readonly checksFirst?: true;
}

const organization: ResourceRule = { kind: "organization", at: [] };
const project = (...at: string[]): ResourceRule => ({ kind: "project", at });
const projectDomain = (...at: string[]): ResourceRule => ({ kind: "project-domain", at });
const run = (...at: string[]): ResourceRule => ({ kind: "run", at });
const action = (...at: string[]): ResourceRule => ({ kind: "action", at });

function read(permission: RpcRow["permission"], resource: ResourceRule, audit: AuditCode): RpcRow {
  return { plane: "data", permission, resource, audit, changes: false };
}
function change(permission: RpcRow["permission"], resource: ResourceRule, audit: AuditCode): RpcRow {
  return { plane: "data", permission, resource, audit, changes: true };
}
function index(permission: Permission, resource: ResourceRule, audit: AuditCode, changes = false): RpcRow {
  return { plane: "index", permission, resource, audit, changes };
}

const deployedTask = { permission: "task.read", resource: projectDomain("taskId") } as const;
const runLists = projectDomain("projectId", "taskId", "taskName", "triggerName", "org");

export const rpcTable: Readonly<Record<string, RpcRow>> = {
  "flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata": read(
    "anonymous",
    organization,
    "AUTH_METADATA_READ",
  ),
  "flyteidl2.auth.AuthMetadataService/GetPublicClientConfig": read(
    "anonymous",
    organization,
    "PUBLIC_CLIENT_READ",
  ),
  "flyteidl2.auth.IdentityService/UserInfo": read("identity.self", organization, "IDENTITY_READ"),
  "flyteidl2.cluster.ClusterService/SelectCluster": read(
    "cluster.select",
    project("projectId", "taskId", "actionId", "actionAttemptId", "domainId", "orgId"),
    "CLUSTER_SELECTED",
  ),

  "flyteidl2.project.ProjectService/CreateProject": index(
    "project.create",
    project("project"),
    "PROJECT_CREATED",
    true,
  ),
  "flyteidl2.project.ProjectService/UpdateProject": index(
    "project.update",
    project("project"),
    "PROJECT_UPDATED",
    true,
  ),
  "flyteidl2.project.ProjectService/GetProject": index("project.read", project(""), "PROJECT_READ"),
  "flyteidl2.project.ProjectService/ListProjects": index("project.read", project(""), "PROJECTS_LISTED"),

  "flyteidl2.task.TaskService/DeployTask": change("task.deploy", projectDomain("taskId"), "TASK_DEPLOYED"),
  "flyteidl2.task.TaskService/GetTaskDetails": read("task.read", projectDomain("taskId"), "TASK_READ"),
  "flyteidl2.task.TaskService/ListTasks": read(
    "task.read",
    projectDomain("projectId", "org"),
    "TASKS_LISTED",
  ),
  "flyteidl2.task.TaskService/ListVersions": read(
    "task.read",
    projectDomain("taskName"),
    "TASK_VERSIONS_LISTED",
  ),

  "flyteidl2.workflow.RunService/CreateRun": {
    ...change("run.create", projectDomain("runId", "projectId"), "RUN_CREATED"),
    uses: deployedTask,
    checksFirst: true,
  },
  "flyteidl2.workflow.RunService/AbortRun": change("run.abort", run("runId"), "RUN_ABORTED"),
  "flyteidl2.workflow.RunService/AbortAction": change("run.abort", action("actionId"), "ACTION_ABORTED"),
  "flyteidl2.workflow.RunService/GetRunDetails": read("run.read", run("runId"), "RUN_READ"),
  "flyteidl2.workflow.RunService/WatchRunDetails": read("run.read", run("runId"), "RUN_WATCHED"),
  "flyteidl2.workflow.RunService/GetActionDetails": read("run.read", action("actionId"), "ACTION_READ"),
  "flyteidl2.workflow.RunService/WatchActionDetails": read("run.read", action("actionId"), "ACTION_WATCHED"),
  "flyteidl2.workflow.RunService/GetActionDataURIs": read(
    "data.read",
    action("actionId"),
    "DATA_PLACES_READ",
  ),
  "flyteidl2.workflow.RunService/ListRuns": read("run.read", runLists, "RUN_LISTED"),
  "flyteidl2.workflow.RunService/WatchRuns": read("run.read", projectDomain("projectId"), "RUNS_WATCHED"),
  "flyteidl2.workflow.RunService/ListActions": read("run.read", run("runId"), "ACTIONS_LISTED"),
  "flyteidl2.workflow.RunService/WatchActions": read("run.read", run("runId"), "ACTIONS_WATCHED"),

  "flyteidl2.dataproxy.DataProxyService/CreateUploadLocation": change(
    "data.upload",
    projectDomain(""),
    "DATA_UPLOAD_GRANTED",
  ),
  "flyteidl2.dataproxy.DataProxyService/UploadInputs": {
    ...change("data.upload", projectDomain("runId", "projectId"), "INPUTS_UPLOADED"),
    uses: deployedTask,
  },
  "flyteidl2.dataproxy.DataProxyService/GetActionData": read("data.read", action("actionId"), "DATA_READ"),
  "flyteidl2.dataproxy.DataProxyService/CreateDownloadLink": change(
    "data.read",
    projectDomain("actionAttemptId", "taskId"),
    "DATA_LINK_GRANTED",
  ),
  "flyteidl2.dataproxy.DataProxyService/TailLogs": read("data.read", action("actionId"), "LOGS_READ"),

  "flyteidl2.actions.ActionsService/Enqueue": change("children.write", action("action"), "ACTION_ENQUEUED"),
  "flyteidl2.actions.ActionsService/WatchForUpdates": read(
    "children.read",
    action("parentActionId"),
    "ACTION_UPDATES_WATCHED",
  ),
  "flyteidl2.actions.ActionsService/Abort": change("run.abort", action("actionId"), "CHILDREN_ABORTED"),

  "biplane.data.v1.ChildrenService/Enqueue": change("children.write", action(""), "CHILDREN_ENQUEUED"),
  "biplane.data.v1.ChildrenService/Watch": read("children.read", action(""), "CHILDREN_WATCHED"),
  "biplane.data.v1.ChildrenService/RecordTraces": change("children.write", action(""), "TRACES_RECORDED"),
  "biplane.data.v1.ProgressService/WatchProgress": read("run.read", run("run"), "PROGRESS_WATCHED"),
  "biplane.data.v1.ObjectsService/ListObjects": read("data.read", projectDomain(""), "DATA_LISTED"),
  "biplane.data.v1.BorderService/ReadLedger": read("border.read", organization, "BORDER_READ"),
  "biplane.data.v1.AuditService/GetLog": read("audit.read", organization, "AUDIT_STATE_READ"),
  "biplane.data.v1.AuditService/ReadRecords": read("audit.read", organization, "AUDIT_RECORDS_READ"),
  "biplane.data.v1.AuditService/ReadTile": read("audit.read", organization, "AUDIT_TILE_READ"),

  "biplane.data.v1.KeysService/ListKeys": read("keys.read", organization, "KEYS_READ"),
  "biplane.data.v1.KeysService/RotateKey": change("keys.write", organization, "KEY_ROTATED"),
  "biplane.data.v1.KeysService/DisableKey": change("keys.write", organization, "KEY_DISABLED"),
  "biplane.data.v1.KeysService/EnableKey": change("keys.write", organization, "KEY_ENABLED"),
  "biplane.data.v1.KeysService/DestroyKey": change("keys.write", organization, "KEY_DESTROYED"),
  "biplane.data.v1.KeysService/AssignKey": change("keys.write", organization, "KEY_ASSIGNED"),

  "biplane.data.v1.ResidencyService/GetRegions": read("records.read", organization, "REGIONS_READ"),
  "biplane.data.v1.ResidencyService/RestrictProject": change(
    "project.update",
    organization,
    "PROJECT_REGIONS_RESTRICTED",
  ),
  "biplane.data.v1.ResidencyService/RestrictOrganization": change(
    "project.update",
    organization,
    "ORGANIZATION_REGIONS_RESTRICTED",
  ),
  "biplane.data.v1.ResidencyService/ChangeProjectHosts": change(
    "project.update",
    project(""),
    "PROJECT_HOSTS_CHANGED",
  ),
  "biplane.data.v1.ResidencyService/ListDestinations": read(
    "records.read",
    organization,
    "DESTINATIONS_LISTED",
  ),

  "biplane.data.v1.UserService/CreateUser": change("identity.manage", organization, "USER_CREATED"),
  "biplane.data.v1.UserService/GetUser": read("identity.read", organization, "USER_READ"),
  "biplane.data.v1.UserService/ListUsers": read("identity.read", organization, "USERS_LISTED"),
  "biplane.data.v1.UserService/InviteUser": change("identity.manage", organization, "USER_INVITED"),
  "biplane.data.v1.UserService/DisableUser": change("identity.manage", organization, "USER_DISABLED"),
  "biplane.data.v1.UserService/EnableUser": change("identity.manage", organization, "USER_ENABLED"),
  "biplane.data.v1.UserService/DeleteUser": change("identity.manage", organization, "USER_DELETED"),
  "biplane.data.v1.UserService/RevokeUser": change("identity.manage", organization, "USER_REVOKED"),
  "biplane.data.v1.UserService/ListSessions": read("identity.read", organization, "SESSION_READ"),
  "biplane.data.v1.UserService/RevokeSession": change("identity.manage", organization, "SESSION_REVOKED"),
  "biplane.data.v1.ApiKeyService/CreateApiKey": change("identity.manage", organization, "API_KEY_CREATED"),
  "biplane.data.v1.ApiKeyService/GetApiKey": read("identity.read", organization, "API_KEY_READ"),
  "biplane.data.v1.ApiKeyService/ListApiKeys": read("identity.read", organization, "API_KEYS_LISTED"),
  "biplane.data.v1.ApiKeyService/DeleteApiKey": change("identity.manage", organization, "API_KEY_DELETED"),
  "biplane.data.v1.AuthorityService/ListSigningKeys": read(
    "identity.read",
    organization,
    "SIGNING_KEYS_READ",
  ),
  "biplane.data.v1.AuthorityService/RotateSigningKeys": change(
    "identity.manage",
    organization,
    "SIGNING_KEYS_ROTATED",
  ),

  "biplane.data.v1.PolicyService/CreateRole": change("policy.write", organization, "ROLE_CREATED"),
  "biplane.data.v1.PolicyService/GetRole": read("policy.read", organization, "ROLE_READ"),
  "biplane.data.v1.PolicyService/ListRoles": read("policy.read", organization, "ROLES_LISTED"),
  "biplane.data.v1.PolicyService/UpdateRole": change("policy.write", organization, "ROLE_UPDATED"),
  "biplane.data.v1.PolicyService/DeleteRole": change("policy.write", organization, "ROLE_DELETED"),
  "biplane.data.v1.PolicyService/CreateAssignment": change(
    "policy.write",
    organization,
    "ASSIGNMENT_CREATED",
  ),
  "biplane.data.v1.PolicyService/UpdateAssignment": change(
    "policy.write",
    organization,
    "ASSIGNMENT_UPDATED",
  ),
  "biplane.data.v1.PolicyService/ListAssignments": read("policy.read", organization, "ASSIGNMENTS_LISTED"),
  "biplane.data.v1.PolicyService/DeleteAssignment": change(
    "policy.write",
    organization,
    "ASSIGNMENT_DELETED",
  ),
  "biplane.data.v1.PolicyService/GetPolicy": read("policy.read", organization, "POLICY_READ"),
  "biplane.data.v1.PolicyService/CanI": read("identity.self", organization, "OWN_RIGHTS_READ"),
  "biplane.data.v1.PolicyService/Explain": read("policy.read", organization, "RIGHTS_EXPLAINED"),

  "biplane.data.v1.MembershipService/CreateJoinCode": change(
    "cluster.manage",
    organization,
    "JOIN_CODE_CREATED",
  ),
  "biplane.data.v1.MembershipService/RemoveCluster": change(
    "cluster.manage",
    organization,
    "CLUSTER_REMOVED",
  ),
  "biplane.data.v1.MembershipService/GetClusterList": read(
    "cluster.select",
    organization,
    "CLUSTER_LIST_READ",
  ),
  // Who calls is a cluster without anybody's token: it shows a code, and later its own certificate.
  "biplane.data.v1.MembershipService/Join": change("anonymous", organization, "CLUSTER_JOIN_ASKED"),
  "biplane.data.v1.MembershipService/UpdateMember": change("anonymous", organization, "CLUSTER_UPDATE_ASKED"),

  "biplane.data.v1.ControlPlaneRecordsService/ListProjects": index(
    "records.read",
    organization,
    "RECORDS_PROJECTS_LISTED",
  ),
  "biplane.data.v1.ControlPlaneRecordsService/ListClusters": index(
    "records.read",
    organization,
    "RECORDS_CLUSTERS_LISTED",
  ),
  "biplane.data.v1.ControlPlaneRecordsService/GetRun": index("records.read", run("run"), "RECORDS_RUN_READ"),
  "biplane.data.v1.ControlPlaneRecordsService/ListRuns": index(
    "records.read",
    projectDomain(""),
    "RECORDS_RUNS_LISTED",
  ),
  "biplane.data.v1.ControlPlaneRecordsService/ListActions": index(
    "records.read",
    run("run"),
    "RECORDS_ACTIONS_LISTED",
  ),
  "biplane.data.v1.ControlPlaneRecordsService/ListAttempts": index(
    "records.read",
    run("run"),
    "RECORDS_ATTEMPTS_LISTED",
  ),
  "biplane.data.v1.ControlPlaneRecordsService/ListTasks": index(
    "records.read",
    projectDomain(""),
    "RECORDS_TASKS_LISTED",
  ),
  "biplane.data.v1.ControlPlaneRecordsService/Place": index(
    "cluster.select",
    projectDomain(""),
    "PLACEMENT_READ",
  ),
};
