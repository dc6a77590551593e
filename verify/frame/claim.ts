/** What a claim is: a sentence that a customer may rely on, how it is proved, and the violation that its check must catch. */
import type { Observations } from "./observations.ts";
import type { Subject } from "./subject.ts";

/** Planes that a claim may change: those that are verified, and the two sets of planes of verify's own. */
export type Place = "planes" | "stage" | "two clusters";

export interface Claim {
  /** As in the register, e.g. `CLS-3`. */
  readonly id: string;
  readonly text: string;
  /**
   * Where it can be judged from: `machine` reads processes and files of the planes, so it takes the machine on which they
   * run; `client` needs what a customer has anywhere: the router, the object store, the border ledger.
   */
  readonly from: "machine" | "client";
  /** Where its control can be done from, where that takes more. */
  readonly controlFrom?: "machine";
  /**
   * Where it freezes a plane, judges all that passes, or changes what others go by: it runs after those that do not, and
   * beside none that has one of these places to itself.
   */
  readonly alone?: readonly Place[];
  /** 120 s where absent. */
  readonly msMax?: number;
  /** Throws `ClaimFailed` where the claim does not hold; notes what was done and seen. */
  prove(subject: Subject, seen: Observations): Promise<void>;
  /** Does what the claim says can't go unnoticed, and gives back whether the same check caught it. */
  control(subject: Subject, seen: Observations): Promise<boolean>;
}

export type ClaimStatus = "pass" | "fail" | "not-applicable";

export interface ClaimResult {
  readonly id: string;
  readonly status: ClaimStatus;
  /** Why it failed or does not apply; empty where it holds. */
  readonly reason: string;
  /** What was done and what was seen, one sentence each. */
  readonly evidence: readonly string[];
}

export interface ControlResult {
  readonly id: string;
  readonly caught: boolean;
  readonly reason: string;
  readonly evidence: readonly string[];
}
