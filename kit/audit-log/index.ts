/** The audit log of either plane: records, their tree, checkpoints, and the other plane as witness. */
export * from "./log.ts";
export * from "./peer.ts";
export * from "./peer-state.ts";
export * from "./refusals.ts";
export * from "./retention.ts";
