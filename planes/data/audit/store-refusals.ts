/** Refused requests of the object store in the audit log: whose credentials they were, and never which object was named. */
import { type AuditInput, eventOf, type RefusalRecorder } from "@biplane/kit/audit-log";
import type { StoreRefusal } from "../objects/index.ts";

/** `publicFrom`: whose word public addresses are. */
export function createStoreAudit(
  refusals: Pick<RefusalRecorder, "record">,
  publicFrom: "edge" | "peer",
): (refusal: StoreRefusal) => Promise<void> {
  return ({ code, decision, method, address, entrance, session }) =>
    refusals.record(
      eventOf("OBJECT_REFUSED", {
        decision,
        method: `${method} object`,
        subject: session?.id ?? "",
        ...runOf(session?.writePrefixes[0]),
        address,
        addressFrom: entrance === "sandbox" ? "sandbox" : publicFrom,
        reason: code,
      }),
    );
}

/** A task's credentials are for one run: where they may write says which. */
function runOf(prefix: string | undefined): Partial<Pick<AuditInput, "project" | "domain" | "run">> {
  const [, project, domain, run] = (prefix ?? "").split("/");
  return project === undefined || domain === undefined || !run ? {} : { project, domain, run };
}
