/** The object server: S3's API over TLS, HTTP/1.1 and HTTP/2. Each request is authenticated before anything else. */
import { constants, createSecureServer, type Http2SecureServer } from "node:http2";
import { KiB, MiB, minute, second } from "@biplane/base";
import {
  type HttpRequest,
  type HttpResponse,
  type Logger,
  type ServerTlsOptions,
  serverTlsOptions,
} from "@biplane/kit";
import { strictly } from "@biplane/kit/strict-http";
import { requireAccess } from "./access.ts";
import { refusedRights, type StoreAudit, type StoreEntrance, type StoreRequest } from "./audit.ts";
import type { Authenticated, Authenticator } from "./authenticate.ts";
import type { StoreContext } from "./operation.ts";
import { parseRequest } from "./request.ts";
import { nameRequest, sendError } from "./respond.ts";
import { findRoute } from "./routes.ts";
import { asS3Error, S3Error } from "./s3-error.ts";

export interface S3ServerOptions {
  readonly context: StoreContext;
  readonly authenticator: Authenticator;
  readonly entrance: StoreEntrance;
  readonly audit?: StoreAudit | undefined;
  readonly log: Logger;
}

/** What a request has shown of itself by the time that it fails. */
interface Seen {
  readonly requestId: string;
  authenticated?: Authenticated;
  /** On record as such. */
  isAllowed?: true;
}

/** What is left of a refused upload is read this far, so that the client sees the answer instead of a reset. */
const drainedBytesMax = 4 * MiB;
const drainedMsMax = 5 * second;
/** Without a byte either way. */
const idleMsMax = 2 * minute;

export function createS3Server(tls: ServerTlsOptions, options: S3ServerOptions): Http2SecureServer {
  const server = createSecureServer({
    ...serverTlsOptions(tls),
    allowHTTP1: true,
    maxHeaderListPairs: 128,
    settings: { initialWindowSize: 1 * MiB, maxConcurrentStreams: 256, maxHeaderListSize: 32 * KiB },
  });
  // Idle connections end; a long upload does not, as Node's own limit for whole requests would have it.
  Object.assign(server, { timeout: idleMsMax, keepAliveTimeout: idleMsMax, requestTimeout: 0 });
  const handle = strictly((request, response) => void serve(request, response, options));
  server.on("request", handle);
  // With a listener Node leaves it to us when to ask for the body.
  server.on("checkContinue", handle);
  return server;
}

async function serve(stream: HttpRequest, response: HttpResponse, options: S3ServerOptions): Promise<void> {
  // A client that goes away is no failure of ours, and must not end the process.
  stream.on("error", () => undefined);
  response.on("error", () => undefined);
  const seen: Seen = { requestId: nameRequest(response) };
  try {
    await answer(stream, response, options, seen);
  } catch (error) {
    await report(stream, error, options, seen);
    refuse(stream, response, error, options.log);
  }
}

/** A refusal that can't be recorded is still one. */
async function report(
  stream: HttpRequest,
  error: unknown,
  { audit, entrance, log }: S3ServerOptions,
  seen: Seen,
): Promise<void> {
  const known = asS3Error(error);
  if (audit === undefined || known === undefined) return;
  const decision = refusedRights[known.code] ?? (seen.isAllowed ? undefined : "refused");
  if (decision === undefined) return;
  try {
    await audit.refused({ ...requestOf(stream, entrance, seen), code: known.code, decision });
  } catch (failure) {
    log.error({ event: "audit_failed", error: failure }, "a refused object request could not be recorded");
  }
}

function requestOf(stream: HttpRequest, entrance: StoreEntrance, seen: Seen): StoreRequest {
  const { requestId, authenticated } = seen;
  return {
    method: stream.method ?? "",
    requestId,
    address: entrance === "sandbox" ? "sandbox" : (stream.socket?.remoteAddress ?? ""),
    entrance,
    session: authenticated?.principal.kind === "session" ? authenticated.principal.session : undefined,
    grantedTo: authenticated?.grantedTo,
  };
}

async function answer(
  stream: HttpRequest,
  response: HttpResponse,
  options: S3ServerOptions,
  seen: Seen,
): Promise<void> {
  const { context } = options;
  const request = parseRequest(stream, context.bucket);
  const authenticated = options.authenticator.authenticate(request);
  seen.authenticated = authenticated;
  const route = findRoute(request);
  if (request.bucket !== undefined && request.bucket !== context.bucket) {
    throw new S3Error(authenticated.principal.kind === "store" ? "NoSuchBucket" : "AccessDenied");
  }
  const key = request.key ?? "";
  const place = route.access === "list" ? (request.parameters.get("prefix") ?? "") : key;
  requireAccess(authenticated, route.access, place);
  const { audit, entrance } = options;
  await audit?.allowed({ ...requestOf(stream, entrance, seen), access: route.access, place });
  seen.isAllowed = true;
  await route.run({ ...context, request, response, authenticated, key });
}

function refuse(stream: HttpRequest, response: HttpResponse, error: unknown, log: Logger): void {
  const known = asS3Error(error);
  const gone = stream.destroyed && !stream.complete;
  if (known === undefined && !gone)
    log.error({ event: "object_request_failed", error }, "an object request failed");
  if (known !== undefined && operatorsShouldKnow(known)) {
    log.warn(
      { event: "object_request_refused", code: known.code, status: known.status },
      "an object request was refused",
    );
  }
  if (response.headersSent) {
    // Ending it here would look like a whole answer.
    if ("stream" in response) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else response.destroy();
    return;
  }
  if (gone) return;
  if (!stream.complete) drain(stream, response);
  sendError(response, known ?? new S3Error("InternalError"), stream.method === "HEAD");
}

/** Refusals that are about the store's own state, and not about what the client sent. */
function operatorsShouldKnow({ code, status }: S3Error): boolean {
  return (status >= 500 && code !== "NotImplemented") || code === "KMS.DisabledException";
}

function drain(stream: HttpRequest, response: HttpResponse): void {
  if (stream.httpVersionMajor === 1) response.setHeader("connection", "close");
  let drained = 0;
  const timer = setTimeout(() => stream.destroy(), drainedMsMax);
  stream.on("data", (chunk: Buffer) => {
    drained += chunk.length;
    if (drained > drainedBytesMax) stream.destroy();
  });
  stream.once("close", () => clearTimeout(timer));
}
