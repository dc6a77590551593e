/** Answers of the object server. Every one carries the headers that keep a browser from running what is stored. */
import { randomBytes } from "node:crypto";
import type { HttpResponse } from "@biplane/kit";
import type { S3Error } from "./s3-error.ts";
import { renderError, renderXml, type Xml } from "./xml.ts";

/** A report is a task's own page: it runs nothing, and loads nothing that could carry its data to a host of its choice. */
const contentPolicy = [
  "sandbox",
  "default-src 'none'",
  ...["img-src", "font-src", "media-src"].map((kind) => `${kind} data:`),
  "style-src 'unsafe-inline' data:",
  "form-action 'none'",
  "base-uri 'none'",
].join("; ");
const safeHeaders = {
  "content-security-policy": contentPolicy,
  "x-content-type-options": "nosniff",
  "x-dns-prefetch-control": "off",
} as const;

export type Headers = Readonly<Record<string, string | number>>;

/** Which the answer will bear, whatever it is. */
export function nameRequest(response: HttpResponse): string {
  const requestId = randomBytes(8).toString("hex").toUpperCase();
  response.setHeader("x-amz-request-id", requestId);
  return requestId;
}

export function writeHead(response: HttpResponse, status: number, headers: Headers): void {
  const all = { ...safeHeaders, ...headers };
  // HTTP/1.1 and HTTP/2 responses declare the same method differently.
  (response.writeHead as (status: number, headers: Headers) => unknown).call(response, status, all);
}

export function sendEmpty(response: HttpResponse, status: number, headers: Headers = {}): void {
  // A length on these two would promise a body.
  const length: Headers = status === 204 || status === 304 ? {} : { "content-length": 0 };
  writeHead(response, status, { ...length, ...headers });
  response.end();
}

export function sendXml(response: HttpResponse, xml: Xml, headers: Headers = {}): void {
  sendText(response, 200, renderXml(xml), headers);
}

export function sendError(response: HttpResponse, error: S3Error, isHead: boolean): void {
  // The answer to HEAD has no body; clients take the status for the code.
  if (isHead) {
    writeHead(response, error.status, error.headers);
    response.end();
    return;
  }
  sendText(response, error.status, renderError(error.code, error.message, []), error.headers);
}

function sendText(response: HttpResponse, status: number, text: string, headers: Headers): void {
  const body = Buffer.from(text);
  writeHead(response, status, {
    "content-type": "application/xml",
    "content-length": body.length,
    ...headers,
  });
  response.end(body);
}
