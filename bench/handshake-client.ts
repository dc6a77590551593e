/** Opens new TLS connections, a few at a time and each from the beginning, and counts those whose handshake succeeds. */
import { once } from "node:events";
import { connect, createSecureContext } from "node:tls";
import { receiveSetup, report } from "./tunnel-messages.ts";

export interface HandshakeJob {
  readonly port: number;
  readonly authorityPem: string;
  readonly durationMs: number;
  readonly atOnce: number;
}

export interface HandshakeResult {
  readonly connections: number;
  readonly perSecond: number;
}

await receiveSetup();
process.on("message", (job: HandshakeJob) => {
  run(job).then(report, (error: unknown) => report({ failed: String(error) }));
});
report({ ready: true });

async function run({ port, authorityPem, durationMs, atOnce }: HandshakeJob): Promise<HandshakeResult> {
  const secureContext = createSecureContext({ ca: authorityPem });
  const startedMs = performance.now();
  let count = 0;
  const open = async () => {
    while (performance.now() - startedMs < durationMs) {
      const options = { port, host: "127.0.0.1", servername: "localhost", secureContext };
      const socket = connect({ ...options, ALPNProtocols: ["h2"] });
      await once(socket, "secureConnect");
      socket.on("error", () => {});
      socket.destroy();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, open));
  return { connections: count, perSecond: (count * 1_000) / (performance.now() - startedMs) };
}
