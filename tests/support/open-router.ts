/**
 * A router that lets everyone in: it has a real cluster's certificate and keys, and asks the control plane for whoever
 * shows it a token. What the control plane refuses itself is seen through it.
 */
import type { ClusterId, OrgId } from "@biplane/base";
import { IndexService } from "@biplane/control-wire";
import { createClientTransport, systemClock } from "@biplane/kit";
import { readKeyFile } from "@biplane/kit/crypto";
import { createClient, createContextKey, createContextValues } from "@connectrpc/connect";
import { openSigningKeys, signingKeysPath } from "../../planes/data/identity/signing-keys.ts";
import { ClusterTokens } from "../../planes/data/identity/tokens.ts";
import { readEnrollment } from "../../planes/data/link/index.ts";
import { statePaths } from "../../planes/data/state.ts";
import { claimsOf } from "./person.ts";

export interface OpenRouter {
  /** From the control plane's index, for whoever this access token belongs to. */
  listProjects(token: string): Promise<void>;
}

/** `state`: folder of the data plane whose place it takes. */
export async function openRouter(state: string): Promise<OpenRouter> {
  const paths = statePaths(state);
  const enrollment = (await readEnrollment(paths.link))!;
  const [org, cluster] = [enrollment.org as OrgId, enrollment.cluster as ClusterId];
  const keys = await openSigningKeys(signingKeysPath(paths.identity), await readKeyFile(paths.systemKey));
  const groups = { of: () => [] };
  const tokens = new ClusterTokens({
    ...{ org, cluster, keys, groups },
    policy: { bundle: undefined },
    clock: systemClock,
  });
  const principalOf = (token: string) => {
    const { sub: subject, kind, jti: tokenId, iat: issuedAt, grant } = claimsOf(token);
    return {
      ...{ org, subject, kind, tokenId, issuedAt, grant, groups: [] },
      ...{ attempt: undefined, actingFor: undefined },
    };
  };
  /** Which token a call is about; the connection is one for all. */
  const asked = createContextKey("");
  const transport = createClientTransport({
    baseUrl: `https://${enrollment.linkAddress}`,
    tls: { authorityPem: enrollment.providerRootPem, identity: enrollment.identity },
    interceptors: [
      (next) => async (request) => {
        const control = await tokens.controlToken(principalOf(request.contextValues.get(asked)));
        request.header.set("authorization", `Bearer ${control.reveal()}`);
        return next(request);
      },
    ],
  });
  const index = createClient(IndexService, transport);
  return {
    listProjects: async (token) => {
      await index.listProjects({}, { contextValues: createContextValues().set(asked, token) });
    },
  };
}
