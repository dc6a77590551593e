/** LinkService: the first message of a stream is a hello, everything after it belongs to a session. */
import { BiplaneError, limits } from "@biplane/base";
import { type ConnectRequest, type Hello, IncomingOrder, type LinkService } from "@biplane/control-wire";
import type { ServiceImpl } from "@connectrpc/connect";
import { requireCluster } from "../clusters/peer.ts";
import { type LinkDependencies, LinkSession } from "./session.ts";

export function createLinkService(dependencies: LinkDependencies): ServiceImpl<typeof LinkService> {
  return {
    async *connect(requests, context) {
      const peer = requireCluster(context.values);
      const iterator = requests[Symbol.asyncIterator]();
      const received = new IncomingOrder();
      const hello = await readHello(iterator, received);
      const session = new LinkSession(dependencies, peer, { requests: iterator, received });
      context.signal.addEventListener("abort", () => session.abandon(), { once: true });
      yield* session.run(hello);
    },
  };
}

async function readHello(requests: AsyncIterator<ConnectRequest>, received: IncomingOrder): Promise<Hello> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(noHello("deadline_exceeded")), limits.handshakeMs);
  });
  try {
    const first = await Promise.race([requests.next(), late]);
    if (first.done === true || first.value.message.case !== "hello") throw noHello("invalid_argument");
    received.accept(first.value);
    return first.value.message.value;
  } finally {
    clearTimeout(timer);
  }
}

function noHello(code: "deadline_exceeded" | "invalid_argument"): BiplaneError {
  return new BiplaneError(code, "A link begins with a hello.", { reason: "hello_missing" });
}
