/** Structured logs on stderr that let only fields of the register through. */
import { type LogField, logFields } from "@biplane/base";
import { type DestinationStream, pino } from "pino";

/** Fields of a line. An error appears as its class, code and place; its text stays out. */
export type LogFields = {
  readonly [field in LogField]?: string | number | boolean | undefined;
} & { readonly error?: unknown };

type Write = (fields: LogFields, text: string) => void;

export interface Logger {
  readonly trace: Write;
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  readonly fatal: Write;
}

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
    if (name === "error") Object.assign(kept, describeError(value));
    // Types end where JavaScript begins: what the register does not name is dropped whoever passes it (claim TLS-5).
    else if (Object.hasOwn(logFields, name) && typeof value !== "object") kept[name] = value;
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
