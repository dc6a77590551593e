/**
 * What every request of the link passes, outermost first: audit, who it is, and that its messages hold nothing but
 * what the schema names.
 */
import { randomUUID } from "node:crypto";
import type { AuditCode, AuditDecision } from "@biplane/audit";
import { BiplaneError, isBiplaneError } from "@biplane/base";
import { EnrollmentService, type EnrollRequest, findViolation, IndexService } from "@biplane/control-wire";
import { type Clock, toConnectError } from "@biplane/kit";
import type { AuditInput } from "@biplane/kit/audit-log";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { Code, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { allowKey } from "./audit/allow.ts";
import type { AuditLogs } from "./audit/audit.ts";
import { methodCodes } from "./audit/codes.ts";
import { markRead } from "./audit/unread.ts";
import { requireKnownCertificate } from "./clusters/clusters.ts";
import { peerIn, requireCluster } from "./clusters/peer.ts";
import { principalKey, verifyControlToken } from "./policy/principal.ts";
import type { Store } from "./store/open.ts";

type Request = UnaryRequest | StreamRequest;

export interface InterceptorDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLogs;
}

export function createInterceptors(dependencies: InterceptorDependencies): Interceptor[] {
  return [auditing(dependencies), authenticating(dependencies), guarding];
}

/**
 * What can't be recorded does not happen: a service calls `allow` once it has decided and before it does anything. Each
 * request has one record; a stream one at both its ends.
 */
function auditing(dependencies: InterceptorDependencies): Interceptor {
  return (next) => async (request) => {
    markRead(request.contextValues);
    const requestId = requestIdOf(request);
    const record = (code: AuditCode, decision: AuditDecision, reason = "") =>
      recordRequest(dependencies, request, { code, decision, reason, requestId });
    const code = methodCodes[request.method.localName] ?? "REQUEST_REFUSED";
    let recorded: Promise<void> | undefined;
    const allow = () => (recorded ??= record(code, "allowed"));
    request.contextValues.set(allowKey, allow);
    try {
      const response = await next(request);
      await allow();
      if (!response.stream) return response;
      const ended = () => record("LINK_DISCONNECTED", "event", "ended");
      const failed = (error: unknown) => record("LINK_DISCONNECTED", "event", reasonOf(error));
      return { ...response, message: recordingEnd(response.message, ended, failed) };
    } catch (error) {
      if (recorded === undefined) await record(code, decisionOf(error), reasonOf(error));
      throw error;
    }
  };
}

interface Decided {
  readonly code: AuditCode;
  readonly decision: AuditDecision;
  readonly reason: string;
  readonly requestId: string;
}

async function recordRequest(
  { audit, clock }: InterceptorDependencies,
  request: Request,
  { code, decision, reason, requestId }: Decided,
): Promise<void> {
  const peer = peerIn(request.contextValues);
  const principal = request.contextValues.get(principalKey);
  const input: AuditInput = {
    atMs: clock.now(),
    code,
    decision,
    subject: principal?.subject ?? "",
    ...(principal?.actingFor === undefined ? {} : { actingFor: principal.actingFor }),
    method: `${request.service.typeName}/${request.method.name}`,
    ...(peer.kind === "cluster" ? { org: peer.org, cluster: peer.cluster } : {}),
    requestId,
    address: peer.address,
    addressFrom: "peer",
    ...(reason === "" ? {} : { reason }),
  };
  if (peer.kind === "cluster") return (await audit.of(peer.org)).record(input);
  const enrolled = decision === "allowed" ? enrolledIn(request) : undefined;
  if (enrolled !== undefined) return (await audit.of(enrolled.org)).record({ ...input, ...enrolled });
  // Without a certificate and without a good code: a stranger.
  return audit.refusals.record(input);
}

/** Whom an enrollment is about; its code has shown that it may say so. */
function enrolledIn(request: Request): { org: string; cluster: string } | undefined {
  if (request.stream || request.method !== EnrollmentService.method.enroll) return undefined;
  const { org, cluster } = request.message as EnrollRequest;
  return { org, cluster };
}

function decisionOf(error: unknown): AuditDecision {
  const { code } = toConnectError(error);
  if (code === Code.Unauthenticated) return "unauthenticated";
  return code === Code.PermissionDenied ? "denied" : "refused";
}

function reasonOf(error: unknown): string {
  return (isBiplaneError(error) ? error.reason : undefined) ?? codeToString(toConnectError(error).code);
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
  return /^[A-Za-z0-9_-]{1,64}$/.test(value) ? value : randomUUID();
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

/** Claim CLS-2: nothing that the schema does not name comes in, at any depth. */
const guarding: Interceptor = (next) => async (request) => {
  const { input } = request.method;
  if (request.stream) return next({ ...request, message: checkedAll(checkIncoming, input, request.message) });
  checkIncoming(input, request.message);
  return next(request);
};

/** Nor does it go out: a data plane would refuse it, but here the mistake is told where it was made. */
export const holdingBack: Interceptor = (next) => async (request) => {
  const response = await next(request);
  const { output } = request.method;
  if (response.stream) return { ...response, message: checkedAll(checkOutgoing, output, response.message) };
  checkOutgoing(output, response.message);
  return response;
};

type Check = (schema: DescMessage, message: Message) => void;

async function* checkedAll<T extends Message>(
  check: Check,
  schema: DescMessage,
  messages: AsyncIterable<T>,
): AsyncGenerator<T> {
  for await (const message of messages) {
    check(schema, message);
    yield message;
  }
}

function checkIncoming(schema: DescMessage, message: Message): void {
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

function checkOutgoing(schema: DescMessage, message: Message): void {
  const violation = findViolation(schema, message);
  if (violation === undefined) return;
  throw new BiplaneError(
    "internal",
    { what: `${schema.typeName} was held back at ${violation.path}.`, why: `It is not ${violation.rule}.` },
    { reason: "held_back" },
  );
}
