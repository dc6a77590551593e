/** Who may do what: tokens, roles, assignments and signed documents. Pure. Decisions are in `@biplane/identity/decide`. */
export * from "./authorities.ts";
export * from "./cluster-list.ts";
export * from "./documents.ts";
export * from "./enrollment.ts";
export * from "./membership.ts";
export * from "./policy-document.ts";
export * from "./profile.ts";
export * from "./refusal.ts";
export * from "./requests.ts";
export * from "./roles.ts";
export * from "./signed-document.ts";
export * from "./tokens.ts";
