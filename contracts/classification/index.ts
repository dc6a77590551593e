/**
 * Which plane answers which method, who may call it, how it is audited; and the class of each field and column. Pure.
 * What knows the data wire is beside this in modules of its own: `messages.ts`, `register.ts`, `check.ts`.
 */
export * from "./classes.ts";
export * from "./columns.ts";
export * from "./control-columns.ts";
export * from "./control-records.ts";
export * from "./data-columns.ts";
export * from "./projection.ts";
export * from "./rpc-table.ts";
