/** What a credential may do. The store's own key may do everything; a session, what its prefixes say. */
import { isExecutorKey, isWriteOnceKey } from "@biplane/layout";
import type { Authenticated } from "./authenticate.ts";
import { S3Error } from "./s3-error.ts";

/**
 * `bucket`: facts about the bucket that say nothing of what is in it. `delete_named`: of objects that the body names, each
 * of which is checked by itself.
 */
export type Access = "bucket" | "list" | "read" | "write" | "delete" | "delete_named";

/** `key` is the listed prefix for `list`. Throws `AccessDenied`, also where there is no such object. */
export function requireAccess({ principal }: Authenticated, access: Access, key: string): void {
  if (principal.kind === "store" || access === "bucket" || access === "delete_named") return;
  const { readPrefixes, writePrefixes } = principal.session;
  const within = (prefixes: readonly string[]) => prefixes.some((prefix) => key.startsWith(prefix));
  const allowed =
    access === "read" || access === "list"
      ? within(readPrefixes) || within(writePrefixes)
      : within(writePrefixes) && !isReserved(access, key);
  if (!allowed) throw new S3Error("AccessDenied");
}

/**
 * Deleting first would be a way around writing once (rule of state 11), and a task that wrote its own `outcome.pb`
 * would decide its attempt's outcome (rule of state 7).
 */
function isReserved(access: Access, key: string): boolean {
  return isExecutorKey(key) || (access === "delete" && isWriteOnceKey(key));
}
