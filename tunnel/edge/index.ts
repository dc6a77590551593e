export * from "./config.ts";
export * from "./edge.ts";
