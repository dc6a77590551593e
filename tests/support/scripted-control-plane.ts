/** Control planes of a few lines for tests of the data plane's end: each says what its test wants, in the link's order. */
import { randomBytes } from "node:crypto";
import {
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  newestProtocolVersion,
  nonceBytes,
  OutgoingOrder,
  sessionOf,
} from "@biplane/control-wire";
import { create, type MessageInitShape } from "@bufbuild/protobuf";

export type Behaviour = (requests: AsyncIterable<ConnectRequest>) => AsyncIterable<ConnectResponse>;

export function down(message: MessageInitShape<typeof ConnectResponseSchema>["message"]): ConnectResponse {
  return create(ConnectResponseSchema, { message } as MessageInitShape<typeof ConnectResponseSchema>);
}

export function welcome(fields: object = {}): ConnectResponse {
  return down({ case: "welcome", value: { protocolVersion: newestProtocolVersion, cursor: 0n, ...fields } });
}

/** Numbers what the behaviour says, as the protocol asks; what has a number already goes as it is. */
export function inOrder(behaviour: Behaviour): Behaviour {
  return async function* (requests) {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done === true) return;
    const nonce = first.value.message.case === "hello" ? first.value.message.value.nonce : new Uint8Array();
    const order = new OutgoingOrder();
    for await (const message of behaviour(startingWith(first.value, iterator))) {
      if (message.sequence === 0n) stamp(order, message, nonce);
      yield message;
    }
  };
}

function stamp(order: OutgoingOrder, message: ConnectResponse, helloNonce: Uint8Array): void {
  if (message.message.case === "welcome" && message.message.value.nonce.length === 0) {
    message.message.value.nonce = new Uint8Array(randomBytes(nonceBytes));
    order.begin(sessionOf(helloNonce, message.message.value.nonce));
  }
  order.stamp(message);
}

async function* startingWith(
  first: ConnectRequest,
  rest: AsyncIterator<ConnectRequest>,
): AsyncGenerator<ConnectRequest> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
