export * from "./authorities.ts";
/** Who may do what: tokens, roles, assignments and the decision function. Pure. */
export * from "./decide.ts";
export * from "./enrollment.ts";
export * from "./profile.ts";
export * from "./roles.ts";
export * from "./tokens.ts";
