/**
 * Fields that a log line of any process may have, each with its class; every other one is dropped (claim TLS-5). None can
 * hold what a customer's program or person wrote. Part of the register; it stands here because the edge logs as well.
 */
import type { KnowableClass } from "./data-class.ts";

export const logFields = {
  component: "public",
  pid: "public",
  event: "public",
  reason: "public",
  code: "public",
  kind: "public",
  errorClass: "public",
  errorPlace: "public",
  method: "public",
  status: "public",
  signal: "public",
  service: "platform",
  host: "platform",
  port: "platform",
  org: "platform",
  cluster: "platform",
  origin: "platform",
  otherName: "platform",
  requestId: "platform",
  connection: "platform",
  delayMs: "platform",
  durationMs: "platform",
  count: "platform",
  index: "platform",
  size: "platform",
  run: "orchestration",
  action: "orchestration",
  attempt: "orchestration",
} as const satisfies Readonly<Record<string, KnowableClass>>;

/** What the logger itself writes on every line: no caller gives them. The message is one of the program's own constants. */
export const loggerFields = {
  level: "public",
  time: "platform",
  msg: "public",
} as const satisfies Readonly<Record<string, KnowableClass>>;

export type LogField = keyof typeof logFields;
