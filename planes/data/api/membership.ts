/** Clusters of the organization: codes for further ones, the signed list, and what joining clusters ask for. */
import { X509Certificate } from "node:crypto";
import { type BiplaneError, isBiplaneError, KiB, parseClusterId } from "@biplane/base";
import { clusters } from "@biplane/data-wire";
import { fingerprint } from "@biplane/kit/certificates";
import type { HandlerContext } from "@connectrpc/connect";
import type { Members } from "../clusters/members.ts";
import { type Call, callKey } from "../router/call.ts";
import { serve } from "../router/router.ts";
import { millisecondsOf, timestamp } from "./messages/times.ts";
import type { ApiParts } from "./parts.ts";

/** Of what came of a cluster's request: the router's own record was made before anything was known of the cluster. */
export interface MembershipRecords {
  outcome(
    code: "CLUSTER_JOINED" | "CLUSTER_UPDATED",
    call: Call | undefined,
    cluster: string,
    refusal: BiplaneError | undefined,
  ): Promise<void>;
}

/** Whoever joins is a stranger until its code was looked at. */
const requestBytesMax = 32 * KiB;

export function membershipService(parts: ApiParts) {
  const members = (): Members => {
    if (parts.members === undefined) throw parts.clusters.notHome();
    return parts.members;
  };
  return serve(
    clusters.MembershipService,
    {
      createJoinCode: async ({ cluster, router, objects, expiresAt }) => {
        const expiresAtMs = expiresAt === undefined ? undefined : millisecondsOf(expiresAt);
        const wanted = { cluster: parseClusterId(cluster), places: { router, objects }, expiresAtMs };
        const made = await members().createCode(wanted);
        return {
          code: made.text.reveal(),
          rootFingerprint: fingerprint(made.code.rootPem),
          expiresAt: timestamp(made.expiresAtMs),
        };
      },
      removeCluster: async ({ cluster }) => {
        await members().remove(parseClusterId(cluster));
        return {};
      },
      getClusterList: () => ({ list: parts.clusters.signedList }),
      ...fromClusters(parts, members),
    },
    requestBytesMax,
  );
}

function fromClusters(parts: ApiParts, members: () => Members) {
  const recorded = async <T>(
    code: Parameters<MembershipRecords["outcome"]>[0],
    cluster: string,
    context: HandlerContext,
    work: () => Promise<T>,
  ): Promise<T> => {
    const call = context.values.get(callKey);
    try {
      const result = await work();
      await parts.records.outcome(code, call, cluster, undefined);
      return result;
    } catch (error) {
      if (isBiplaneError(error)) await parts.records.outcome(code, call, cluster, error);
      throw error;
    }
  };
  return {
    join: (request: clusters.JoinRequest, context: HandlerContext) =>
      recorded("CLUSTER_JOINED", request.cluster, context, async () => {
        const { secret, region, certificateRequest: asked, taskKeys } = request;
        const cluster = parseClusterId(request.cluster);
        const admission = await members().admit({ secret, cluster, region, request: asked, taskKeys });
        return { certificate: derOf(admission.certificatePem), list: admission.list };
      }),
    updateMember: (request: clusters.UpdateMemberRequest, context: HandlerContext) =>
      recorded("CLUSTER_UPDATED", request.cluster, context, async () => {
        const { certificatePem } = await members().update(parseClusterId(request.cluster), request.statement);
        return certificatePem === undefined ? {} : { certificate: derOf(certificatePem) };
      }),
  };
}

function derOf(pem: string): Uint8Array {
  return new Uint8Array(new X509Certificate(pem).raw);
}
