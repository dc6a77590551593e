/** Calls any served method, and tells in one form what came of it: for tests that call all of them. */
import { servedMethods } from "@biplane/classification/messages";
import { type DescMethod, type Message, toJsonString } from "@bufbuild/protobuf";
import { type Code, ConnectError, type Transport } from "@connectrpc/connect";

/** Every method that a router serves. */
export const routerMethods = servedMethods();

export interface Outcome {
  readonly code: Code | "answered";
  /** The answer as JSON, or the error's text. */
  readonly text: string;
}

const unaryMsMax = 10_000;
/** Watches that are allowed would go on for ever. */
const streamMsMax = 500;

/** `requestId`: for records of the call to be found by. */
export async function callMethod(
  transport: Transport,
  desc: DescMethod,
  message: Message,
  requestId?: string,
): Promise<Outcome> {
  const headers = requestId === undefined ? undefined : { "x-request-id": requestId };
  const signal = AbortSignal.timeout(desc.methodKind === "unary" ? unaryMsMax : streamMsMax);
  try {
    return { code: "answered", text: await answerOf(transport, desc, message, signal, headers) };
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    // A stream that found nothing to say yet.
    if (signal.aborted) return { code: "answered", text: "" };
    return { code, text: rawMessage };
  }
}

async function answerOf(
  transport: Transport,
  desc: DescMethod,
  message: Message,
  signal: AbortSignal,
  headers: Record<string, string> | undefined,
): Promise<string> {
  let text = "";
  for await (const one of messagesOf(transport, desc, message, signal, headers)) {
    text += toJsonString(desc.output, one);
  }
  return text;
}

/** Of an answer, whatever kind of method it is. */
export async function* messagesOf(
  transport: Transport,
  desc: DescMethod,
  message: object,
  signal: AbortSignal,
  headers?: Record<string, string>,
): AsyncGenerator<Message> {
  if (desc.methodKind === "unary") {
    const answer = await transport.unary(desc as never, signal, undefined, headers, message as never);
    yield answer.message;
    return;
  }
  async function* once() {
    yield message;
  }
  const stream = await transport.stream(desc as never, signal, undefined, headers, once() as never);
  yield* stream.message as AsyncIterable<Message>;
}
