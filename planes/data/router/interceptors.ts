/**
 * The one decision point. Callers are known by now (gate.ts); here each request is read as far as its resource,
 * decided, recorded, and only then handed to its service.
 */
import { BiplaneError, isBiplaneError } from "@biplane/base";
import { type Decision, decide, type PolicyBundle } from "@biplane/identity";
import type { Logger } from "@biplane/kit/logging";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { type Call, callKey } from "./call.ts";
import type { CallAudit } from "./call-audit.ts";
import { resourceOf } from "./resource.ts";

export interface DecisionParts {
  readonly policy: { readonly bundle: PolicyBundle };
  readonly audit: CallAudit;
  readonly log: Logger;
}

export function createDecisionInterceptor(parts: DecisionParts): Interceptor {
  return (next) => async (request) => {
    const call = request.contextValues.get(callKey);
    if (call === undefined) throw new Error("A request came past the gate.");
    const { message, replayed } = await firstMessage(request);
    const decision = await decideCall(parts, call, request.method.input, message);
    const recorded = parts.audit.decided(call, decision);
    // Handled below in each case; this only keeps an early failure from ending the process.
    recorded.catch(() => {});
    if (decision.kind !== "allowed" || call.row.changes) await recorded;
    requireAllowed(decision);
    try {
      const response = await next(replayed);
      await recorded;
      return response;
    } catch (error) {
      logUnexpected(parts.log, call, error);
      throw error;
    }
  };
}

async function decideCall(
  parts: DecisionParts,
  call: Call,
  schema: DescMessage,
  message: Message,
): Promise<Decision> {
  const { permission, resource } = call.row;
  if (permission === "anonymous") return { kind: "allowed", delegated: false };
  if (call.principal === undefined) throw new Error("A request came past the gate without a caller.");
  try {
    call.resource = resourceOf(resource, schema, message, call.org);
  } catch (error) {
    await parts.audit.refused(call, error);
    throw error;
  }
  return decide(call.principal, permission, call.resource, parts.policy.bundle);
}

function requireAllowed(decision: Decision): void {
  if (decision.kind === "allowed") return;
  if (decision.kind === "hidden") {
    throw new BiplaneError("not_found", "There is no such thing in this organization.", {
      reason: "unknown",
    });
  }
  throw new BiplaneError(
    "permission_denied",
    {
      what: "You may not do this.",
      why: "None of your roles permits it here.",
      next: "Ask an administrator of your organization for a role.",
    },
    { reason: "not_permitted" },
  );
}

/** The request's message; a stream is put together again, because reading its first message takes that away. */
async function firstMessage(
  request: UnaryRequest | StreamRequest,
): Promise<{ message: Message; replayed: UnaryRequest | StreamRequest }> {
  if (!request.stream) return { message: request.message, replayed: request };
  const messages = request.message[Symbol.asyncIterator]();
  const first = await messages.next();
  if (first.done) throw new BiplaneError("invalid_argument", "The request has no message.");
  const { value } = first;
  async function* again() {
    yield value;
    yield* { [Symbol.asyncIterator]: () => messages };
  }
  return { message: value, replayed: { ...request, message: again() } };
}

/** Failures that are nobody's expectation are logged; their text stays out of it. */
function logUnexpected(log: Logger, call: Call, error: unknown): void {
  if (isBiplaneError(error) && error.code !== "internal") return;
  if (error instanceof ConnectError) return;
  log.error(
    { event: "request_failed", method: call.method, requestId: call.requestId, error },
    "a request failed",
  );
}
