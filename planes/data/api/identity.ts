/** Who am I, and which cluster serves me: this one, always, so that stock clients keep their one session. */
import { appendSupplement, flyte, supplement } from "@biplane/data-wire";
import { create } from "@bufbuild/protobuf";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import type { ApiParts } from "./parts.ts";

export function identityService() {
  return serve(flyte.auth.IdentityService, {
    userInfo: (_request, context) => {
      const { principal } = authorizedCall(context);
      const name = principal.name ?? principal.subject;
      const [givenName = "", ...rest] = name.split(" ");
      return {
        subject: principal.subject,
        name,
        preferredUsername: principal.email ?? principal.subject,
        givenName,
        familyName: rest.join(" "),
        email: principal.email ?? "",
      };
    },
  });
}

export function clusterService({ cluster }: ApiParts) {
  return serve(flyte.cluster.ClusterService, {
    selectCluster: () => {
      const schema = supplement.SelectClusterResponseSupplementSchema;
      const answer = create(flyte.cluster.SelectClusterResponseSchema, { clusterEndpoint: "" });
      return appendSupplement(answer, schema, create(schema, { cluster }));
    },
  });
}
