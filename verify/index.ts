/** What tests use of verify: its claims and how they are run. */
export { claims } from "./claims/index.ts";
export type { Claim, ClaimResult, ControlResult } from "./frame/claim.ts";
