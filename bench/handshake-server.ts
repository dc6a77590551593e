/** The reference of the handshake bench: a TLS server of Node that does nothing else. */
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import type { TlsIdentity } from "@biplane/kit/tls";
import { receiveSetup, report } from "./tunnel-messages.ts";

const { certificatePem, privateKeyPem } = await receiveSetup<TlsIdentity>();
const server = createServer({ cert: certificatePem, key: privateKeyPem }, (socket) => {
  socket.on("error", () => {});
  socket.resume();
});
server.listen(0, "127.0.0.1", () => report({ ready: true, port: (server.address() as AddressInfo).port }));
