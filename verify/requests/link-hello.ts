/** The first message of a link, as whoever holds these credentials may send it, and how the control plane takes it. */
import { randomBytes } from "node:crypto";
import {
  ConnectRequestSchema,
  LinkService,
  newestProtocolVersion,
  nonceBytes,
  OutgoingOrder,
} from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { type Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";

const answerMsMax = 10_000;

/** The error's code where the hello was refused. */
export async function sayHello(
  transport: Transport,
  { org, cluster }: { readonly org: string; readonly cluster: string },
): Promise<Code | "answered"> {
  const value = {
    ...{ protocolVersion: newestProtocolVersion, org, cluster, incarnation: "verify" },
    ...{
      lastSequence: 0n,
      routerAddress: "https://localhost:8443",
      region: "local",
      softwareVersion: "0.1.0",
    },
    nonce: new Uint8Array(randomBytes(nonceBytes)),
  };
  const hello = create(ConnectRequestSchema, { message: { case: "hello", value } });
  new OutgoingOrder().stamp(hello);
  async function* once() {
    yield hello;
  }
  try {
    const signal = AbortSignal.timeout(answerMsMax);
    for await (const _ of createClient(LinkService, transport).connect(once(), { signal })) return "answered";
    return "answered";
  } catch (error) {
    return ConnectError.from(error).code;
  }
}
