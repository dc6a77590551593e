/**
 * What happens to a request before its body is read: right host, known method, bounded size, known caller. Whoever
 * fails here costs one set of headers.
 */
import { randomUUID } from "node:crypto";
import { BiplaneError, isBiplaneError, limits, type OrgId } from "@biplane/base";
import { rpcTable } from "@biplane/classification";
import type { HttpRequest, HttpResponse } from "@biplane/kit/connect-server";
import { send } from "@biplane/kit/html";
import type { Authenticator, Entrance } from "../identity/types.ts";
import type { Call } from "./call.ts";
import type { CallAudit } from "./call-audit.ts";
import { refuse } from "./refusal.ts";

export interface GateParts {
  readonly org: OrgId;
  /** `host:port` that clients may ask for; all others are told that they are in the wrong place. */
  readonly hosts: ReadonlySet<string>;
  readonly authenticator: Authenticator;
  readonly audit: CallAudit;
  /** Answers GET requests. */
  readonly pages: (request: HttpRequest, response: HttpResponse, address: string) => Promise<void>;
}

const requestIdPattern = /^[\x21-\x7e]{1,128}$/;

/** Resolves to the call where the request may go on, to undefined where it was answered. */
export type Gate = (
  request: HttpRequest,
  response: HttpResponse,
  entrance: Entrance,
) => Promise<Call | undefined>;

export function createGate(parts: GateParts): Gate {
  return async (request, response, entrance) => {
    const address = addressOf(request, entrance);
    if (entrance.kind === "public" && !parts.hosts.has(hostOf(request))) {
      // RFC 9110 section 15.5.20: a connection that was reused for a host that is not ours.
      send(response, 421, { "content-type": "text/plain" }, "This router has another name.\n");
      return undefined;
    }
    if (request.method !== "POST") {
      // Pages take people's tokens, which are good at the public entrance alone.
      if (entrance.kind === "sandbox") {
        send(response, 404, { "content-type": "text/plain" }, "There are no pages here.\n");
        return undefined;
      }
      await parts.pages(request, response, address);
      return undefined;
    }
    const seen = describe(parts.org, request, entrance, address);
    try {
      return await admit(parts, request, seen);
    } catch (error) {
      await parts.audit.refused(seen, error);
      refuse(request, response, error);
      return undefined;
    }
  };
}

export interface SeenRequest extends Omit<Call, "row" | "principal" | "resource"> {}

function describe(org: OrgId, request: HttpRequest, entrance: Entrance, address: string): SeenRequest {
  const sent = request.headers["x-request-id"];
  const clientRequestId = typeof sent === "string" && requestIdPattern.test(sent) ? sent : undefined;
  const method = (request.url ?? "").slice(1, 200).split("?")[0]!;
  return { method, org, entrance, address, clientRequestId, requestId: clientRequestId ?? randomUUID() };
}

async function admit(parts: GateParts, request: HttpRequest, seen: SeenRequest): Promise<Call> {
  const row = Object.hasOwn(rpcTable, seen.method) ? rpcTable[seen.method] : undefined;
  if (row === undefined) throw unknownMethod();
  if (Number(request.headers["content-length"] ?? 0) > limits.requestBytesMax) throw tooLarge();
  if (row.permission === "anonymous") return { ...seen, row, principal: undefined, resource: undefined };
  try {
    const principal = await parts.authenticator.authenticate(request.headers.authorization, seen.entrance);
    return { ...seen, row, principal, resource: undefined };
  } catch (error) {
    // A fenced attempt that enqueues is told that it was aborted, which stops it (rule of state 6).
    if (isBiplaneError(error) && error.reason === "attempt_ended" && row.permission === "children.write") {
      throw new BiplaneError("aborted", error.text, { cause: error, reason: "attempt_ended" });
    }
    throw error;
  }
}

function hostOf(request: HttpRequest): string {
  const authority = request.headers[":authority"] ?? request.headers.host ?? "";
  const host = String(authority).toLowerCase();
  return /:\d+$/.test(host) ? host : `${host}:443`;
}

function addressOf(request: HttpRequest, entrance: Entrance): string {
  if (entrance.kind === "sandbox") return "sandbox";
  return request.socket?.remoteAddress ?? entrance.address;
}

function unknownMethod(): BiplaneError {
  return new BiplaneError(
    "unimplemented",
    {
      what: "This router has no such method.",
      next: "Check that client and data plane have fitting versions.",
    },
    { reason: "unknown_method" },
  );
}

function tooLarge(): BiplaneError {
  return new BiplaneError(
    // A code that clients do not retry: the same request is too large tomorrow.
    "out_of_range",
    { what: "The request is too large.", why: `At most ${limits.requestBytesMax} bytes are taken.` },
    { reason: "request_too_large" },
  );
}
