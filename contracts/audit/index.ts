/** What is audited, and how a record looks. Pure. */
export * from "./codes.ts";
export * from "./record.ts";
