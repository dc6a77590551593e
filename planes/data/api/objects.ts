/** Names and sizes of what the object store holds for a project-domain; bytes go by presigned URLs only. */
import { objects } from "@biplane/data-wire";
import { projectPrefix } from "@biplane/layout";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { clampLimit } from "./messages/lists.ts";
import { timestamp } from "./messages/times.ts";
import { projectDomainOf } from "./names.ts";
import type { ApiParts } from "./parts.ts";

export function objectsService(parts: ApiParts) {
  return serve(objects.ObjectsService, {
    listObjects: async (request, context) => {
      const prefix = projectPrefix(projectDomainOf(authorizedCall(context).org, request));
      const limit = clampLimit(request.limit);
      const after = request.cursor === "" ? {} : { after: `${prefix}${request.cursor}` };
      const heads = await parts.objects.list(`${prefix}${request.prefix}`, { limit: limit + 1, ...after });
      const page = heads.slice(0, limit);
      return {
        objects: page.map((head) => ({
          key: head.key,
          sizeBytes: BigInt(head.sizeBytes),
          modifiedAt: timestamp(head.modifiedAtMs),
        })),
        nextCursor: heads.length > limit ? page.at(-1)!.key.slice(prefix.length) : "",
      };
    },
  });
}
