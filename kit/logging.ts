/** Structured logs on stderr that let only named fields through. */
import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

export type Logger = Pick<PinoLogger, "trace" | "debug" | "info" | "warn" | "error" | "fatal">;

/**
 * Fields that a log line may have; every other one is dropped (claim TLS-5). None of them can hold what a customer's
 * program or person wrote: an error appears as its class and code, its text stays out.
 */
const allowedFields = new Set([
  "event",
  "component",
  "pid",
  "code",
  "reason",
  "method",
  "status",
  "durationMs",
  "count",
  "bytes",
  "port",
  "host",
  "org",
  "cluster",
  "project",
  "domain",
  "run",
  "action",
  "attempt",
  "phase",
  "sequence",
  "cursor",
  "version",
  "signal",
  "exitCode",
  "subject",
  "requestId",
  "service",
  "connection",
  "region",
  "limit",
  "delayMs",
  "path",
]);

export interface LoggingOptions {
  readonly component: string;
  readonly level?: string;
  readonly destination?: DestinationStream;
}

/** JSON lines on standard error. `LOG_LEVEL` sets the level. */
export function createLogger(options: LoggingOptions): Logger {
  const level = options.level ?? process.env["LOG_LEVEL"] ?? "info";
  return pino(
    {
      level,
      base: { component: options.component, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: keepAllowed },
    },
    options.destination ?? pino.destination({ fd: 2, sync: false }),
  );
}

function keepAllowed(fields: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (name === "error" || name === "err") Object.assign(kept, describeError(value));
    else if (allowedFields.has(name) && typeof value !== "object") kept[name] = value;
  }
  return kept;
}

/** Class and code only: messages of errors may quote data. */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { errorClass: typeof error };
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  const place = /\((?:file:\/\/)?([^()]+:\d+):\d+\)/.exec(error.stack ?? "")?.[1];
  return {
    errorClass: error.name,
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(typeof reason === "string" ? { reason } : {}),
    ...(place === undefined ? {} : { errorPlace: place }),
  };
}
