/** Somebody who signed in a moment ago, for tests of what is done in their name. */
import type { OrgId } from "@biplane/base";
import type { ActingPrincipal } from "../../planes/data/identity/types.ts";

export function principalOf(subject: string, org = "acme" as OrgId): ActingPrincipal {
  return {
    ...{ org, subject, kind: "user", tokenId: `token-of-${subject}` },
    ...{ issuedAt: Math.floor(Date.now() / 1_000), groups: [] },
    ...{ grant: undefined, attempt: undefined, actingFor: undefined },
  };
}
