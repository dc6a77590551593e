/**
 * Who am I, and which cluster serves me: this one, said by the empty string so that stock clients keep their one session;
 * or another one, for a run that it accepted.
 */
import { isBiplaneError, type RunId } from "@biplane/base";
import { appendSupplement, flyte, supplement } from "@biplane/data-wire";
import { create } from "@bufbuild/protobuf";
import { isElsewhere } from "../clusters/whereabouts.ts";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { runIdOf } from "./names.ts";
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

export function clusterService({ cluster, runs, findElsewhere }: ApiParts) {
  return serve(flyte.cluster.ClusterService, {
    selectCluster: async (_request, context) => {
      const { org, principal, resource } = authorizedCall(context);
      const { project = "", domain = "", run: name = "" } = resource;
      if (name !== "" && !(await isHere(runs, runIdOf(org, { project, domain, name })))) {
        const elsewhere = await findElsewhere(resource, principal);
        if (elsewhere !== undefined) throw isElsewhere(elsewhere);
      }
      const schema = supplement.SelectClusterResponseSupplementSchema;
      const answer = create(flyte.cluster.SelectClusterResponseSchema, { clusterEndpoint: "" });
      return appendSupplement(answer, schema, create(schema, { cluster }));
    },
  });
}

async function isHere(runs: ApiParts["runs"], id: RunId): Promise<boolean> {
  try {
    await runs.getRun(id);
    return true;
  } catch (error) {
    if (isBiplaneError(error, "not_found")) return false;
    throw error;
  }
}
