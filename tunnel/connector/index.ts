export { tunnelName } from "@biplane/tunnel-protocol";
export * from "./connector.ts";
export * from "./feed-tls-server.ts";
export type { ConnectionConsumer } from "./incoming.ts";
export type { TunnelSocket } from "./tunnel-socket.ts";
