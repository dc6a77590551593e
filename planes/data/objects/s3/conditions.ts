/** Conditional requests (RFC 9110 section 13) and byte ranges (section 14). */
import type { ObjectEntry } from "../store/entries.ts";
import type { Condition } from "../store/objects.ts";
import type { S3Request } from "./request.ts";
import { S3Error } from "./s3-error.ts";

export type ReadDecision = "serve" | "not_modified";

/** Throws `PreconditionFailed`. `prefix` is for CopyObject, whose conditions speak of its source. */
export function decideRead(request: S3Request, entry: ObjectEntry, prefix = ""): ReadDecision {
  const ifMatch = request.header(`${prefix}if-match`);
  const ifNoneMatch = request.header(`${prefix}if-none-match`);
  const modifiedSeconds = Math.floor(entry.modifiedAtMs / 1_000);
  if (ifMatch !== undefined) {
    if (!matchesEtag(ifMatch, entry)) throw new S3Error("PreconditionFailed");
  } else if (
    modifiedSeconds > (seconds(request.header(`${prefix}if-unmodified-since`)) ?? Number.POSITIVE_INFINITY)
  ) {
    throw new S3Error("PreconditionFailed");
  }
  if (ifNoneMatch !== undefined) return matchesEtag(ifNoneMatch, entry) ? "not_modified" : "serve";
  const since = seconds(request.header(`${prefix}if-modified-since`));
  return since !== undefined && modifiedSeconds <= since ? "not_modified" : "serve";
}

/** The condition of a write: `If-None-Match: *` for a new object, `If-Match` to replace a known one. */
export function writeCondition(request: S3Request): Condition | undefined {
  const ifNoneMatch = request.header("if-none-match");
  const ifMatch = request.header("if-match");
  if (ifNoneMatch === undefined && ifMatch === undefined) return undefined;
  return (existing) => {
    if (ifNoneMatch !== undefined && existing !== undefined && matchesEtag(ifNoneMatch, existing)) {
      throw new S3Error("PreconditionFailed");
    }
    if (ifMatch === undefined) return;
    if (existing === undefined) throw new S3Error("NoSuchKey");
    if (!matchesEtag(ifMatch, existing)) throw new S3Error("PreconditionFailed");
  };
}

export interface Range {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/** Undefined for the whole object: no range, or one that is to be ignored. Throws `InvalidRange`. */
export function parseRange(text: string | undefined, sizeBytes: number): Range | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text?.trim() ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const [, from, to] = match;
  if (from === "") {
    const length = Math.min(Number(to), sizeBytes);
    if (length === 0) throw unsatisfiable(sizeBytes);
    return { first: sizeBytes - length, last: sizeBytes - 1 };
  }
  const first = Number(from);
  const last = to === "" ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1);
  if (to !== "" && Number(to) < first) return undefined;
  if (first >= sizeBytes) throw unsatisfiable(sizeBytes);
  return { first, last };
}

function unsatisfiable(sizeBytes: number): S3Error {
  return new S3Error("InvalidRange", undefined, { "content-range": `bytes */${sizeBytes}` });
}

function matchesEtag(header: string, entry: ObjectEntry): boolean {
  return header.split(",").some((one) => {
    const tag = one
      .trim()
      .replace(/^W\//, "")
      .replace(/^"(.*)"$/, "$1");
    return tag === "*" || tag === entry.etag;
  });
}

function seconds(date: string | undefined): number | undefined {
  if (date === undefined) return undefined;
  const atMs = Date.parse(date);
  return Number.isNaN(atMs) ? undefined : Math.floor(atMs / 1_000);
}
