/**
 * Calls of the control plane's index as a router makes them that lets everyone in: under its cluster's certificate, with a
 * token that names who acts. What the control plane refuses itself is seen by them. Plane internals: the cluster's own keys,
 * read from its state folder.
 */
import { BiplaneError, parseClusterId, parseOrgId } from "@biplane/base";
import { systemClock } from "@biplane/kit/clock";
import { createClientTransport } from "@biplane/kit/connect-client";
import { readKeyFile } from "@biplane/kit/crypto";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { openSigningKeys, signingKeysPath } from "../../planes/data/identity/signing-keys.ts";
import { ClusterTokens } from "../../planes/data/identity/tokens.ts";
import { readEnrollment } from "../../planes/data/link/index.ts";
import { statePaths } from "../../planes/data/state.ts";
import { claimsOf } from "../sign-in/flows.ts";
import { bearer } from "./bearer.ts";

export interface IndexCaller {
  readonly cluster: string;
  /** For whoever this access token belongs to, each call under a new control token. */
  actingFor(accessToken: string): Transport;
  /** With whatever control token. */
  showing(controlToken: string): Transport;
  /** What the cluster shows for whoever this access token belongs to; no client ever has one. */
  controlToken(accessToken: string): Promise<string>;
}

/** `dataState`: folder of the data plane whose place it takes. */
export async function openIndexCaller(dataState: string): Promise<IndexCaller> {
  const paths = statePaths(dataState);
  const enrollment = await readEnrollment(paths.link);
  if (enrollment === undefined) {
    throw new BiplaneError("failed_precondition", "The data plane is not enrolled with a control plane.");
  }
  const [org, cluster] = [parseOrgId(enrollment.org), parseClusterId(enrollment.cluster)];
  const keys = await openSigningKeys(signingKeysPath(paths.identity), await readKeyFile(paths.systemKey));
  const groups = { of: () => [] };
  const policy = { bundle: undefined };
  const tokens = new ClusterTokens({ org, cluster, keys, groups, policy, clock: systemClock });
  const transportWith = (interceptor: Interceptor) =>
    createClientTransport({
      baseUrl: `https://${enrollment.linkAddress}`,
      tls: { authorityPem: enrollment.providerRootPem, identity: enrollment.identity },
      interceptors: [interceptor],
    });
  const controlToken = async (accessToken: string) => {
    const { sub: subject, kind, jti: tokenId, iat: issuedAt, grant } = claimsOf(accessToken);
    const principal = { org, subject, kind, tokenId, issuedAt, grant, groups: [] };
    return (await tokens.controlToken({ ...principal, attempt: undefined, actingFor: undefined })).reveal();
  };
  return {
    cluster,
    actingFor: (accessToken) =>
      transportWith((next) => async (request) => {
        request.header.set("authorization", `Bearer ${await controlToken(accessToken)}`);
        return next(request);
      }),
    showing: (token) => transportWith(bearer(token)),
    controlToken,
  };
}
