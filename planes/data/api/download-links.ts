/** Links to reports and code bundles: presigned, short-lived, one object, reading only. */
import { BiplaneError, type OrgId } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { projectPrefix, reportKey, requireOwnLocation } from "@biplane/layout";
import { fromBinary } from "@bufbuild/protobuf";
import type { AuthorizedCall } from "../router/call.ts";
import { timestamp } from "./messages/times.ts";
import { actionIdOf, attemptOf, bareActionId, taskIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";
import { bundleUris } from "./pins.ts";
import { lifetimeOf } from "./uploads.ts";

const { ArtifactType } = flyte.dataproxy;
type Request = flyte.dataproxy.CreateDownloadLinkRequest;

export async function createDownloadLink(
  parts: ApiParts,
  { org, principal }: AuthorizedCall,
  request: Request,
) {
  const target = await targetOf(parts, org, request);
  const grantedTo = principal.subject;
  const lifetimeMs = lifetimeOf(request.expiresIn);
  const signed = parts.grants.presign({ method: "GET", lifetimeMs, grantedTo, ...target });
  return {
    preSignedUrls: {
      signedUrl: [signed.reveal()],
      expiresAt: timestamp(parts.clock.now() + lifetimeMs),
    },
  };
}

type Target = { readonly key: string; readonly disposition: "inline" | "attachment" };

async function targetOf(parts: ApiParts, org: OrgId, request: Request): Promise<Target> {
  const { source, artifactType } = request;
  if (artifactType === ArtifactType.REPORT && source.case === "actionAttemptId") {
    return reportOf(parts, org, source.value);
  }
  if (artifactType === ArtifactType.CODE_BUNDLE && source.case === "taskId") {
    const id = taskIdOf(org, source.value);
    return bundleOf(parts, projectPrefix(id), (await parts.runs.getTask(id)).spec);
  }
  if (artifactType === ArtifactType.CODE_BUNDLE && source.case === "actionAttemptId") {
    const id = actionIdOf(org, source.value.actionId);
    const { specDigest } = await parts.runs.getAction(id);
    if (specDigest === undefined) throw nothing("code bundle");
    return bundleOf(parts, projectPrefix(id), await parts.runs.document(id.project, specDigest));
  }
  throw new BiplaneError("invalid_argument", {
    what: "There are no links to this.",
    next: "Ask for the report or the code bundle of an action, or the code bundle of a task.",
  });
}

async function reportOf(
  parts: ApiParts,
  org: OrgId,
  asked: flyte.common.ActionAttemptIdentifier,
): Promise<Target> {
  const record = await parts.runs.getAction(actionIdOf(org, asked.actionId));
  const attempt = asked.attempt === 0 ? record.attempts.length : asked.attempt;
  if (record.attempts[attempt - 1]?.hasReport !== true) {
    throw nothing(
      `report of ${record.action}`,
      `Another action may have one: biplane get action ${record.run}`,
    );
  }
  return { key: reportKey(attemptOf(bareActionId(record), attempt)), disposition: "inline" };
}

function bundleOf(parts: ApiParts, prefix: string, spec: Uint8Array): Target {
  const [uri] = bundleUris(fromBinary(flyte.task.TaskSpecSchema, spec));
  if (uri === undefined) throw nothing("code bundle");
  return { key: requireOwnLocation(uri, parts.objects.bucket, prefix).key, disposition: "attachment" };
}

function nothing(what: string, next?: string): BiplaneError {
  const text = { what: `There is no ${what}.`, why: "None was made or uploaded." };
  return new BiplaneError("not_found", next === undefined ? text : { ...text, next });
}
