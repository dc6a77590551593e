/** The reference of the tunnel bench: a bare relay that ends TLS, begins it anew, and pipes. */
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import { clientTlsOptions, serverTlsOptions } from "@biplane/kit/tls";
import { type RelaySetup, receiveSetup, report } from "./tunnel-messages.ts";

const setup = await receiveSetup<RelaySetup>();
const server = createServer(serverTlsOptions(setup), (inbound) => {
  const outbound = connect({
    ...clientTlsOptions(setup),
    port: setup.targetPort,
    host: "127.0.0.1",
    servername: "localhost",
  });
  for (const socket of [inbound, outbound]) {
    socket.on("error", () => {
      inbound.destroy();
      outbound.destroy();
    });
  }
  inbound.pipe(outbound).pipe(inbound);
});
server.listen(0, "127.0.0.1", () => report({ ready: true, port: (server.address() as AddressInfo).port }));
