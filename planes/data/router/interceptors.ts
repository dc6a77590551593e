/**
 * The chain behind the gate: callers are known by now (gate.ts); here each request is read as far as its resource,
 * decided and recorded (decision.ts), and only then handed to its service.
 */
import { BiplaneError, isBiplaneError } from "@biplane/base";
import type { Logger } from "@biplane/kit/logging";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { type FindElsewhere, isElsewhere } from "../clusters/whereabouts.ts";
import { type Call, callKey } from "./call.ts";
import { authorize, type DecisionParts } from "./decision.ts";
import { whileAllowed } from "./lasting.ts";
import { namedBy, requireNames, resourceOf } from "./resource.ts";

export interface ChainParts extends DecisionParts {
  /** Whether another cluster has what a call did not find here. */
  readonly findElsewhere: FindElsewhere;
  readonly log: Logger;
}

export function createDecisionInterceptor(parts: ChainParts): Interceptor {
  return (next) => async (request) => {
    const call = request.contextValues.get(callKey);
    if (call === undefined) throw new Error("A request came past the gate.");
    const { message, replayed } = await firstMessage(request);
    call.isRecorded = true;
    await readResource(parts, call, request.method.input, message);
    const { recorded } = await authorize(parts, call);
    try {
      const response = await next(replayed);
      await recorded;
      if (!response.stream) return response;
      const message = whileAllowed(parts, call, response.message);
      return { ...response, message: explained(parts, call, message) };
    } catch (error) {
      await recorded;
      logUnexpected(parts.log, call, error);
      throw await explain(parts, call, error);
    }
  };
}

async function* explained<T>(parts: ChainParts, call: Call, messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw await explain(parts, call, error);
  }
}

/** Who asks for a run of another cluster is told where it is; what is nowhere stays not found. */
async function explain(parts: ChainParts, call: Call, error: unknown): Promise<unknown> {
  const { principal, resource, row } = call;
  if (!isBiplaneError(error, "not_found") || row.plane !== "data") return error;
  if (principal === undefined || resource?.run === undefined) return error;
  const cluster = await parts.findElsewhere(resource, principal);
  return cluster === undefined ? error : isElsewhere(cluster);
}

async function readResource(
  parts: ChainParts,
  call: Call,
  schema: DescMessage,
  message: Message,
): Promise<void> {
  try {
    requireNames(schema, message);
    const { resource, uses } = call.row;
    call.resource = resourceOf(resource, schema, message, call.org);
    if (uses !== undefined) call.used = namedBy(uses.resource, schema, message, call.org);
  } catch (error) {
    await parts.audit.refused(call, error);
    throw error;
  }
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
  const { method, requestId } = call;
  log.error({ event: "request_failed", method, requestId, error }, "a request failed");
}
