/** Who may do what: tokens, roles, assignments, signed documents and the decision function. Pure. */
export * from "./authorities.ts";
export * from "./cluster-list.ts";
export * from "./decide.ts";
export * from "./documents.ts";
export * from "./enrollment.ts";
export * from "./membership.ts";
export * from "./policy-document.ts";
export * from "./profile.ts";
export * from "./roles.ts";
export * from "./signed-document.ts";
export * from "./tokens.ts";
