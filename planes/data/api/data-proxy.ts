/** Flyte's DataProxyService: everything that moves or shows customer data. */

import { limits, type OrgId } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { fromBinary } from "@bufbuild/protobuf";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { readActionData } from "./action-data.ts";
import { createDownloadLink } from "./download-links.ts";
import { storeInputs, withDefaults } from "./inputs.ts";
import { tailLogs } from "./log-tail.ts";
import { actionIdOf, projectDomainOf, taskIdOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";
import { createUploadLocation } from "./uploads.ts";

export function dataProxyService(parts: ApiParts) {
  return serve(
    flyte.dataproxy.DataProxyService,
    {
      createUploadLocation: (request, context) => {
        const { org, principal } = authorizedCall(context);
        return createUploadLocation(parts, projectDomainOf(org, request), request, principal.subject);
      },
      uploadInputs: async (request, context) => {
        const { org, resource } = authorizedCall(context);
        const { project = "", domain = "" } = resource;
        const spec = await specOf(parts, org, request);
        const inputs = withDefaults(request.inputs, spec);
        const stored = await storeInputs(parts, projectDomainOf(org, { project, domain }), inputs, spec);
        return { offloadedInputData: { uri: stored.directoryUri, inputsHash: stored.inputsHash } };
      },
      getActionData: async (request, context) => {
        const id = actionIdOf(authorizedCall(context).org, request.actionId);
        return readActionData(parts, await parts.runs.getAction(id));
      },
      createDownloadLink: (request, context) => createDownloadLink(parts, authorizedCall(context), request),
      tailLogs: (request, context) => {
        const id = actionIdOf(authorizedCall(context).org, request.actionId);
        return tailLogs(parts, id, request.attempt, context.signal);
      },
    },
    limits.requestBytesMax,
  );
}

async function specOf(
  parts: ApiParts,
  org: OrgId,
  { task }: flyte.dataproxy.UploadInputsRequest,
): Promise<flyte.task.TaskSpec | undefined> {
  if (task.case === "taskSpec") return task.value;
  if (task.case !== "taskId") return undefined;
  const deployed = await parts.runs.getTask(taskIdOf(org, task.value));
  return fromBinary(flyte.task.TaskSpecSchema, deployed.spec);
}
