/** Helpers that know nothing of workflows: TLS, certificates, databases, servers, logs, time. */
export * from "./backoff.ts";
export * from "./certificates.ts";
export * from "./clock.ts";
export * from "./config.ts";
export * from "./connect-client.ts";
export * from "./connect-errors.ts";
export * from "./connect-server.ts";
export * from "./crypto.ts";
export * from "./database.ts";
export * from "./files.ts";
export * from "./framing.ts";
export * from "./http2-heartbeat.ts";
export * from "./journal.ts";
export * from "./lifecycle.ts";
export * from "./logging.ts";
export * from "./queue.ts";
export * from "./tls.ts";
