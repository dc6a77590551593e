/** What edge and connector agree on. Pure: no sockets, no clock, no message types. */
export * from "./limits.ts";
export * from "./names.ts";
export * from "./proxy-header.ts";
export * from "./versions.ts";
