/** What everything else builds on. Pure: no I/O, no clock, no environment. */
export * from "./bytes.ts";
export * from "./data-class.ts";
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./limits.ts";
export * from "./log-fields.ts";
export * from "./regions.ts";
export * from "./secret.ts";
export * from "./text.ts";
export * from "./units.ts";
