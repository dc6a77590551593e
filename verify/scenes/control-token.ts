/**
 * What a data plane shows the control plane in a person's name. A marked use of plane internals, with the data plane's own
 * keys: no client ever has such a token.
 */
import type { ClusterId, OrgId } from "@biplane/base";
import { systemClock } from "@biplane/kit/clock";
import { createClientTransport } from "@biplane/kit/connect-client";
import { readKeyFile } from "@biplane/kit/crypto";
import type { Transport } from "@connectrpc/connect";
import { openSigningKeys, signingKeysPath } from "../../planes/data/identity/signing-keys.ts";
import { ClusterTokens } from "../../planes/data/identity/tokens.ts";
import { statePaths } from "../../planes/data/state.ts";
import { bearer } from "../requests/bearer.ts";
import { enrollmentOf } from "./certificates.ts";
import type { Tenant } from "./tenants.ts";

export async function controlToken({ org, cluster, state, connection }: Tenant): Promise<string> {
  const paths = statePaths(state);
  const keys = await openSigningKeys(signingKeysPath(paths.identity), await readKeyFile(paths.systemKey));
  const { subject } = await connection.identity.userInfo({});
  const tokens = new ClusterTokens({
    ...{ org: org as OrgId, cluster: cluster as ClusterId, keys, clock: systemClock },
    policy: { bundle: undefined },
    groups: { of: () => [] },
  });
  const [tokenId, issuedAt] = ["verify", Math.floor(systemClock.now() / 1_000)];
  const nobodyElse = { grant: undefined, attempt: undefined, actingFor: undefined };
  const principal = { org: org as OrgId, subject, kind: "service", groups: [], tokenId, issuedAt } as const;
  return (await tokens.controlToken({ ...principal, ...nobodyElse })).reveal();
}

/** With the cluster's certificate and this token. */
export async function indexTransport({ state }: Tenant, token: string): Promise<Transport> {
  const { linkAddress, providerRootPem, identity } = await enrollmentOf(state);
  return createClientTransport({
    baseUrl: `https://${linkAddress}`,
    tls: { authorityPem: providerRootPem, identity },
    interceptors: [bearer(token)],
  });
}

/** To the tenant's router, with anybody's token. */
export function routerTransport({ profile }: Tenant, token: string): Transport {
  return createClientTransport({
    baseUrl: profile.router,
    tls: { authorityPem: profile.rootPem },
    interceptors: [bearer(token)],
  });
}
