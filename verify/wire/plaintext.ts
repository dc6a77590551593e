/** Speaks plain text to a listener: whoever speaks TLS answers with an alert or hangs up, whoever does not betrays itself. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";

const alertRecord = 0x15;
const answerMsMax = 3_000;
const greetings = ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];

/** What the listeners answered that is no TLS, in words. */
export async function plaintextAnswers(ports: readonly number[]): Promise<string[]> {
  const asked = ports.flatMap((port) => greetings.map((greeting) => answerTo(port, greeting)));
  return (await Promise.all(asked)).flatMap((answer) => answer ?? []);
}

function answerTo(port: number, greeting: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(greeting));
    const end = (answer: Buffer | undefined) => {
      socket.destroy();
      const isPlain = answer !== undefined && answer[0] !== alertRecord;
      resolve(
        isPlain
          ? `port ${port} answered plain text with ${JSON.stringify(answer.toString("latin1", 0, 40))}`
          : undefined,
      );
    };
    socket.setTimeout(answerMsMax, () => end(undefined));
    socket.once("data", end);
    socket.once("error", () => end(undefined));
    socket.once("close", () => end(undefined));
  });
}

/** The deliberate violation: an echo without TLS. Gives back its port. */
export async function startPlainEcho(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { server, port: (server.address() as AddressInfo).port };
}
