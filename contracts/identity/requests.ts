/** What is decided: who asks, about what, and how the answer comes. */
import type { TokenKind } from "./tokens.ts";

/** What a request is about; absent parts mean "all of them". */
export interface Resource {
  readonly org: string;
  readonly project?: string | undefined;
  readonly domain?: string | undefined;
  readonly run?: string | undefined;
  readonly action?: string | undefined;
}

export interface Actor {
  readonly org: string;
  readonly subject: string;
  readonly kind: TokenKind;
  /** Of people at the customer's own provider; a task has its submitter's. */
  readonly groups: readonly string[];
  readonly attempt?:
    | { readonly project: string; readonly domain: string; readonly run: string; readonly action: string }
    | undefined;
  readonly actingFor?: string | undefined;
}

export type Decision =
  | { readonly kind: "allowed"; readonly delegated: boolean }
  /** The answer is NOT_FOUND: another organization's things do not exist here. */
  | { readonly kind: "hidden" }
  | { readonly kind: "denied" }
  /** There is no policy that is in date: nothing can be decided until a new one has come (claim IAM-3). */
  | { readonly kind: "stale" };
