/** The record of a request that is allowed: services await it before they do what was asked (claim AUD-1). */
import { type ContextValues, createContextKey } from "@connectrpc/connect";

export const allowKey = createContextKey<() => Promise<void>>(() => {
  throw new Error("A request came past the audit log.");
});

/** Resolves once the record is on disk. */
export function recordAllowed(values: ContextValues): Promise<void> {
  return values.get(allowKey)();
}
