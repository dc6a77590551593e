/** Where objects live: keys, prefixes and URIs of architecture section 7. Pure string work, used by both ends. */
import { type ActionId, type AttemptId, BiplaneError, type ProjectDomain, type RunId } from "@biplane/base";

/** `<org>/<project>/<domain>/`: whatever a project-domain owns. */
export function projectPrefix(id: ProjectDomain): string {
  return `${id.org}/${id.project}/${id.domain}/`;
}

export function runPrefix(id: RunId): string {
  return `${projectPrefix(id)}${id.run}/`;
}

export function actionPrefix(id: ActionId): string {
  return `${runPrefix(id)}${id.action}/`;
}

export function attemptPrefix(id: AttemptId): string {
  return `${actionPrefix(id)}${id.attempt}/`;
}

/** Inputs that a parent wrote for its sub-action, or that came inline. */
export function actionInputsKey(id: ActionId): string {
  return `${actionPrefix(id)}inputs.pb`;
}

export function outputsKey(id: AttemptId): string {
  return `${attemptPrefix(id)}outputs.pb`;
}

export function errorKey(id: AttemptId): string {
  return `${attemptPrefix(id)}error.pb`;
}

export function reportKey(id: AttemptId): string {
  return `${attemptPrefix(id)}report.html`;
}

/** Written once by the executor, after the process has ended (rule of state 7). */
export function outcomeKey(id: AttemptId): string {
  return `${attemptPrefix(id)}outcome.pb`;
}

/** Whether only the executor writes this key: a task that could would decide its own attempt's outcome. */
export function isExecutorKey(key: string): boolean {
  return key.endsWith("/outcome.pb");
}

/** Files of one attempt that its task makes as it likes. */
export function rawDataPrefix(id: AttemptId): string {
  return `${attemptPrefix(id)}raw/`;
}

export function checkpointKey(id: AttemptId): string {
  return `${attemptPrefix(id)}_flytecheckpoints`;
}

/** Result of a traced function; `name` is the trace's action name. */
export function traceOutputsKey(id: ActionId): string {
  return `${actionPrefix(id)}outputs.pb`;
}

export function codeBundlesPrefix(id: ProjectDomain): string {
  return `${projectPrefix(id)}code-bundles/`;
}

export function uploadsPrefix(id: ProjectDomain): string {
  return `${projectPrefix(id)}uploads/`;
}

export function offloadedInputsPrefix(id: ProjectDomain): string {
  return `${projectPrefix(id)}inputs/`;
}

const writeOnce = /^[^/]+\/[^/]+\/[^/]+\/(code-bundles|uploads|inputs)\//;

/** Whether an object of this key may be written once only (rule of state 11). */
export function isWriteOnceKey(key: string): boolean {
  return writeOnce.test(key);
}

export interface ObjectLocation {
  readonly bucket: string;
  readonly key: string;
}

export function objectUri(bucket: string, key: string): string {
  return `s3://${bucket}/${key}`;
}

export function parseObjectUri(uri: string): ObjectLocation {
  const match = /^s3:\/\/([^/]+)\/(.+)$/.exec(uri);
  if (match !== null) return { bucket: match[1]!, key: match[2]! };
  throw new BiplaneError("invalid_argument", {
    what: "The object's URI can't be read.",
    why: "It has to look like s3://BUCKET/KEY.",
  });
}

/** Refuses a location outside the cluster's own bucket and the project-domain's own prefix (claim TRUST-2). */
export function requireOwnLocation(uri: string, bucket: string, prefix: string): ObjectLocation {
  const location = parseObjectUri(uri);
  const clean = !location.key.split("/").includes("..");
  if (location.bucket === bucket && location.key.startsWith(prefix) && clean) return location;
  throw new BiplaneError("permission_denied", {
    what: "The object is outside the storage of this project and domain.",
    why: `It has to be below s3://${bucket}/${prefix}.`,
  });
}
