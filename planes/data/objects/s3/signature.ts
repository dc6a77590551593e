/** AWS Signature Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html */
import { createHash, createHmac } from "node:crypto";

export const algorithm = "AWS4-HMAC-SHA256";
export const unsignedPayload = "UNSIGNED-PAYLOAD";

/** What a signature's key is good for: `<date>/<region>/s3/aws4_request`. */
export interface Scope {
  /** yyyymmdd. */
  readonly date: string;
  readonly region: string;
}

export interface CanonicalRequest {
  readonly method: string;
  /** Decoded. */
  readonly path: string;
  readonly query: readonly (readonly [string, string])[];
  /** Lower-case names in order, with their values. */
  readonly headers: readonly (readonly [string, string])[];
  readonly payloadHash: string;
}

export function signingKey(secret: string, scope: Scope): Buffer {
  return [scope.region, "s3", "aws4_request"].reduce(hmac, hmac(Buffer.from(`AWS4${secret}`), scope.date));
}

/** Hex signature of a request at a time (yyyymmddThhmmssZ). */
export function signRequest(key: Buffer, time: string, scope: Scope, request: CanonicalRequest): string {
  const digest = createHash("sha256").update(canonicalText(request)).digest("hex");
  return hmac(key, `${algorithm}\n${time}\n${scopeText(scope)}\n${digest}`).toString("hex");
}

/** Hex signature of one chunk of a streamed body, which carries on from the one before. */
export function signChunk(key: Buffer, time: string, scope: Scope, before: string, sha256: string): string {
  const text = `${algorithm}-PAYLOAD\n${time}\n${scopeText(scope)}\n${before}\n${emptySha256}\n${sha256}`;
  return hmac(key, text).toString("hex");
}

/** Hex signature of the headers behind a streamed body. */
export function signTrailer(
  key: Buffer,
  time: string,
  scope: Scope,
  before: string,
  trailer: string,
): string {
  const digest = createHash("sha256").update(trailer).digest("hex");
  const text = `${algorithm}-TRAILER\n${time}\n${scopeText(scope)}\n${before}\n${digest}`;
  return hmac(key, text).toString("hex");
}

export function scopeText(scope: Scope): string {
  return `${scope.date}/${scope.region}/s3/aws4_request`;
}

/** yyyymmddThhmmssZ. */
export function timeText(atMs: number): string {
  return new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, "");
}

/** Undefined where the text is no such time. */
export function parseTime(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const atMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** RFC 3986: everything but unreserved characters. */
export function encodeUri(text: string): string {
  if (/^[A-Za-z0-9\-._~]*$/.test(text)) return text;
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function encodePath(path: string): string {
  return path.split("/").map(encodeUri).join("/");
}

export function encodeQuery(query: readonly (readonly [string, string])[]): string {
  return query.map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`).join("&");
}

const emptySha256 = createHash("sha256").digest("hex");

function canonicalText(request: CanonicalRequest): string {
  const query = request.query.map(([name, value]) => [encodeUri(name), encodeUri(value)] as const);
  query.sort(([name, value], [otherName, otherValue]) =>
    name === otherName ? compare(value, otherValue) : compare(name, otherName),
  );
  const headers = request.headers.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, " ")}\n`);
  return [
    request.method,
    encodePath(request.path),
    query.map(([name, value]) => `${name}=${value}`).join("&"),
    headers.join(""),
    request.headers.map(([name]) => name).join(";"),
    request.payloadHash,
  ].join("\n");
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
