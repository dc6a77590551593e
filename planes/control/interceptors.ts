/**
 * What every request of the link passes, outermost first: audit, who it is, and that its messages hold nothing but
 * what the schema names.
 */
import { BiplaneError, isBiplaneError } from "@biplane/base";
import { EnrollmentService, findViolation, IndexService } from "@biplane/control-wire";
import { type Clock, toConnectError } from "@biplane/kit";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import type { AuditTrail } from "./audit/audit.ts";
import { requireKnownCertificate } from "./clusters/clusters.ts";
import { peerIn, requireCluster } from "./clusters/peer.ts";
import { principalKey, verifyControlToken } from "./policy/principal.ts";
import type { Store } from "./store/open.ts";

type Request = UnaryRequest | StreamRequest;

export interface InterceptorDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditTrail;
}

export function createInterceptors(dependencies: InterceptorDependencies): Interceptor[] {
  return [auditing(dependencies), authenticating(dependencies), guarding];
}

/** What can't be recorded does not happen: the answer waits for the record. A stream is recorded at both its ends. */
function auditing({ audit, clock }: InterceptorDependencies): Interceptor {
  const record = (request: Request, outcome: string, reason: string) => {
    const peer = peerIn(request.contextValues);
    return audit.record({
      atMs: clock.now(),
      method: `${request.service.typeName}/${request.method.name}`,
      org: peer.kind === "cluster" ? peer.org : "",
      cluster: peer.kind === "cluster" ? peer.cluster : "",
      subject: request.contextValues.get(principalKey)?.subject ?? "",
      outcome,
      reason,
      requestId: requestIdOf(request),
      address: peer.address,
    });
  };
  const recordFailure = (request: Request, error: unknown) =>
    record(
      request,
      codeToString(toConnectError(error).code),
      isBiplaneError(error) ? (error.reason ?? "") : "",
    );
  return (next) => async (request) => {
    try {
      const response = await next(request);
      await record(request, response.stream ? "opened" : "ok", "");
      if (!response.stream) return response;
      const failed = (error: unknown) => recordFailure(request, error);
      return {
        ...response,
        message: recordingEnd(response.message, () => record(request, "ended", ""), failed),
      };
    } catch (error) {
      await recordFailure(request, error);
      throw error;
    }
  };
}

async function* recordingEnd<T>(
  messages: AsyncIterable<T>,
  ended: () => Promise<void>,
  failed: (error: unknown) => Promise<void>,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    await failed(error);
    throw error;
  }
  await ended();
}

function requestIdOf(request: Request): string {
  const value = request.header.get("x-request-id") ?? "";
  return /^[A-Za-z0-9_-]{1,64}$/.test(value) ? value : "";
}

function authenticating({ store, clock }: InterceptorDependencies): Interceptor {
  return (next) => async (request) => {
    if (request.method !== EnrollmentService.method.enroll) {
      const peer = requireCluster(request.contextValues);
      await requireKnownCertificate(store, peer, clock.now());
      if (request.service === IndexService) {
        const authorization = request.header.get("authorization");
        request.contextValues.set(principalKey, await verifyControlToken(store, clock, peer, authorization));
      }
    }
    return next(request);
  };
}

const guarding: Interceptor = (next) => async (request) => {
  if (request.stream) return next({ ...request, message: checkedAll(request.method.input, request.message) });
  check(request.method.input, request.message);
  return next(request);
};

async function* checkedAll<T extends Message>(
  schema: DescMessage,
  messages: AsyncIterable<T>,
): AsyncGenerator<T> {
  for await (const message of messages) {
    check(schema, message);
    yield message;
  }
}

/** Claim CLS-2: nothing that the schema does not name is taken, at any depth. */
function check(schema: DescMessage, message: Message): void {
  const violation = findViolation(schema, message);
  if (violation === undefined) return;
  throw new BiplaneError(
    "invalid_argument",
    {
      what: `${schema.typeName} was refused at ${violation.path}.`,
      why: `What is there is not ${violation.rule}.`,
      next: "Send what the published protocol names; nothing else may reach a control plane.",
    },
    { reason: "unfit_message" },
  );
}
