/** The link: the data plane's outbound channel to the control plane, and the ledger of all that crosses it. */
export * from "./enroll.ts";
export * from "./enrollment.ts";
export * from "./ledger.ts";
export * from "./link.ts";
export * from "./records.ts";
