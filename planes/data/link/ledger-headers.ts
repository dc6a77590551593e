/** Headers as the border ledger keeps them: a capability is known by its hash, never kept (claim CLS-6). */
import { createHash } from "node:crypto";

const capabilities: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "proxy-authorization",
  "set-cookie",
]);

export type NamedValue = readonly [name: string, value: string];

/** By name. The scheme before a token stays: `Bearer sha256:…`. */
export function ledgerHeaders(headers: Headers): NamedValue[] {
  return [...headers].map(([name, value]) => [name, capabilities.has(name) ? hidden(value) : value]);
}

export function hidden(value: string): string {
  const [, scheme = "", secret = ""] = /^([A-Za-z]+ )?(.*)$/s.exec(value) ?? [];
  return `${scheme}sha256:${createHash("sha256").update(secret).digest("hex")}`;
}
