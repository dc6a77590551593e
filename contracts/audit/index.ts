/** What is audited, how a record looks, and the log that shows whether records were changed. Pure. */
export * from "./checkpoint.ts";
export * from "./codes.ts";
export * from "./filter.ts";
export * from "./lifecycle.ts";
export * from "./merkle.ts";
export * from "./names.ts";
export * from "./note.ts";
export * from "./ocsf.ts";
export * from "./record.ts";
export * from "./tiles.ts";
export * from "./tree-edge.ts";
export * from "./verify.ts";
