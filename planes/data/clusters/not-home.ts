/** What a joined cluster answers to whoever asks it for what the authority alone does. */
import { BiplaneError } from "@biplane/base";
import { homeOf } from "@biplane/identity";
import type { Documents } from "../documents/documents.ts";

export function notHome(what: string, documents: Pick<Documents, "newest">): BiplaneError {
  const router = homeOf(documents.newest("clusters")?.content)?.router;
  return new BiplaneError(
    "failed_precondition",
    {
      what,
      why: "The organization's authority is in its home cluster.",
      next:
        router === undefined ? "Ask the home cluster's router." : `Ask the home cluster's router, ${router}.`,
    },
    { reason: "not_home" },
  );
}
