/** Which plane answers which method, who may call it, and how it is audited. Pure. */
export * from "./rpc-table.ts";
