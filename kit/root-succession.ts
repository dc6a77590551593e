/**
 * Which root may take the place of a pinned one: the next version, for which the pinned root itself has signed. Nobody
 * else's word counts, an intermediate's included, whose key signs every day.
 */
import { X509Certificate } from "node:crypto";
import { isIssuedByRoot, urisOf } from "./certificates.ts";

/** DER in base64. */
export interface Successor {
  /** Signed by itself. */
  readonly certificate: string;
  /** The same key under the signature of the root before. */
  readonly cross: string;
}

export type SuccessionOutcome =
  | { readonly kind: "successor"; readonly rootPem: string }
  /** The pinned root itself. */
  | { readonly kind: "same" }
  | { readonly kind: SuccessionRefusal };

export type SuccessionRefusal =
  | "root_unreadable"
  /** Not newer than the pinned one. */
  | "root_rolled_back"
  /** The pinned root did not sign for it: another root did, or nobody. */
  | "root_not_succeeded";

/** Never throws. `uriPrefix`: how roots of this organization are named, before their version. */
export function judgeSuccessor(
  pinnedPem: string,
  successor: Successor,
  uriPrefix: string,
  nowMs: number,
): SuccessionOutcome {
  const [pinned, next, cross] = [pinnedPem, successor.certificate, successor.cross].map(parse);
  if (pinned === undefined || next === undefined || cross === undefined) return { kind: "root_unreadable" };
  if (next.raw.equals(pinned.raw)) return { kind: "same" };
  const version = rootVersion(next, uriPrefix);
  if (version <= rootVersion(pinned, uriPrefix)) return { kind: "root_rolled_back" };
  const isNext =
    version === rootVersion(pinned, uriPrefix) + 1 &&
    isIssuedByRoot(next, next, nowMs) &&
    isIssuedByRoot(cross, pinned, nowMs) &&
    cross.subject === next.subject &&
    cross.publicKey.equals(next.publicKey) &&
    rootVersion(cross, uriPrefix) === version;
  return isNext ? { kind: "successor", rootPem: next.toString().trim() } : { kind: "root_not_succeeded" };
}

/** 0 for a certificate that is no such root. */
export function rootVersion(root: X509Certificate, uriPrefix: string): number {
  const uri = urisOf(root).find((one) => one.startsWith(uriPrefix));
  const version = uri?.slice(uriPrefix.length) ?? "";
  return /^[1-9]\d{0,8}$/.test(version) ? Number(version) : 0;
}

function parse(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text.startsWith("-----") ? text : Buffer.from(text, "base64"));
  } catch {
    return undefined;
  }
}
