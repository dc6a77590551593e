/** Calls a joining or joined cluster makes to its home: over TLS that believes the organization's root, and no other. */
import { BiplaneError, second } from "@biplane/base";
import { clusters } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit/connect-client";
import { fromConnectError } from "@biplane/kit/connect-errors";
import { type Client, createClient } from "@connectrpc/connect";

export const homeCallMs = 20 * second;

export function homeClient(router: string, rootPem: string): Client<typeof clusters.MembershipService> {
  const transport = createClientTransport({ baseUrl: router, tls: { authorityPem: rootPem } });
  return createClient(clusters.MembershipService, transport);
}

/** A refusal is the home cluster's own word; everything else means that it was not reached under its own root. */
export function explainHome(error: unknown, router: string): BiplaneError {
  const known = fromConnectError(error);
  if (known.code !== "unavailable" && known.code !== "internal" && known.code !== "canceled") return known;
  if (known.reason !== undefined) return known;
  return new BiplaneError(
    "unavailable",
    {
      what: `The home cluster can't be reached at ${router}.`,
      why: "Nothing answers there, or what answers has no certificate of the organization's root.",
      next: "Check the address, and that nothing on the way ends TLS.",
    },
    { cause: error, reason: "home_unreachable" },
  );
}
