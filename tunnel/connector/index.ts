export { tunnelName } from "@biplane/tunnel-protocol";
export * from "./connector.ts";
export * from "./feed-tls-server.ts";
export type { ConnectionConsumer, TunnelSocket } from "./incoming.ts";
