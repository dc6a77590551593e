/** Where a cluster's servers are: decided when its join code is made, not by who shows the code. */
import { isIP } from "node:net";
import { BiplaneError } from "@biplane/base";
import type { ListedCluster } from "@biplane/identity";
import { isAddress } from "../config.ts";

export interface Places {
  readonly router: string;
  readonly objects: string;
}

/** Names of this machine, for tasks and tools on it. */
export const localHosts = ["localhost", "127.0.0.1"] as const;

/** What a joined cluster's certificates may be good for. */
export function withinCluster({ router, objects }: Places): string[] {
  return [...new Set([hostOf(router), hostOf(objects), ...localHosts])];
}

/** Two clusters at one address would each get what is the other's. */
export function requireFreePlaces(
  { router, objects }: Places,
  others: readonly ListedCluster[],
  cluster: string,
): void {
  for (const address of [router, objects]) if (!isAddress(address)) throw unfit(address);
  const taken = others
    .filter(({ name }) => name !== cluster)
    .flatMap((one) => [one.router, one.objects, one.authority?.address]);
  const found = [router, objects].find((address) => taken.includes(address));
  if (found === undefined && router !== objects) return;
  throw new BiplaneError("already_exists", {
    what: `${found ?? router} is the address of another server already.`,
    next: "Give each cluster's router and object store an address of its own.",
  });
}

/** As certificates name it. */
function hostOf(address: string): string {
  const { hostname } = new URL(address);
  const bare = hostname.replace(/^\[|\]$/g, "");
  return isIP(bare) === 0 ? hostname : bare;
}

function unfit(address: string): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(address)} can't be a cluster's address.`,
    why: "It has to look like https://HOST:PORT.",
    next: "Give --router and --objects.",
  });
}
