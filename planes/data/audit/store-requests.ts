/** The object store's requests in the audit log: whose they were and of which run, never which object was named. */
import type { AuditCode } from "@biplane/audit";
import { type AuditInput, type AuditLog, eventOf, type RefusalRecorder } from "@biplane/kit/audit-log";
import { isWriteOnceKey } from "@biplane/layout";
import type { AllowedRequest, StoreAudit, StoreRequest } from "../objects/index.ts";

const codes: Readonly<Record<AllowedRequest["access"], AuditCode>> = {
  bucket: "OBJECT_STORE_READ",
  list: "OBJECTS_LISTED",
  read: "OBJECT_READ",
  write: "OBJECT_WRITTEN",
  delete: "OBJECT_DELETED",
  delete_named: "OBJECT_DELETED",
};

/** `publicFrom`: whose word public addresses are. */
export function createStoreAudit(
  log: Pick<AuditLog, "record">,
  refusals: Pick<RefusalRecorder, "record">,
  publicFrom: "edge" | "peer",
): StoreAudit {
  const base = ({ method, requestId, address, entrance, session, grantedTo }: StoreRequest) => ({
    method: `${method} object${grantedTo === undefined ? "" : " by URL"}`,
    subject: session?.subject ?? session?.id ?? grantedTo ?? "",
    requestId,
    address,
    addressFrom: entrance === "sandbox" ? ("sandbox" as const) : publicFrom,
  });
  return {
    allowed: (request) =>
      log.record(
        eventOf(codes[request.access], {
          ...base(request),
          decision: "allowed",
          ...ownerOf(request.place || request.session?.writePrefixes[0]),
        }),
      ),
    refused: (refusal) => {
      const { code, decision, session, grantedTo } = refusal;
      const isKnown = session !== undefined || grantedTo !== undefined;
      // Whoever is known is recorded each time; strangers can't fill the log.
      return (isKnown ? log : refusals).record(
        eventOf("OBJECT_REFUSED", {
          ...base(refusal),
          decision,
          // A task's credentials are for one run: where they may write says which. What it named is not believed.
          ...ownerOf(session?.writePrefixes[0]),
          reason: code,
        }),
      );
    },
  };
}

/** Of a place that its sender may use: within what the router or the executor made, so that these parts are names. */
function ownerOf(place = ""): Partial<Pick<AuditInput, "project" | "domain" | "run">> {
  const [, project, domain, run] = place.split("/");
  if (project === undefined || domain === undefined) return {};
  return { project, domain, ...(!run || isWriteOnceKey(place) ? {} : { run }) };
}
