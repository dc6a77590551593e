import type { IndexService } from "@biplane/control-wire";
import type { Client } from "@connectrpc/connect";
import type { ActingPrincipal } from "../identity/types.ts";

/** The control plane as the rest of the data plane sees it. */
export interface ControlPlane {
  readonly connected: boolean;
  /** Where it says it is: at the last welcome, else at enrollment. */
  readonly region: string;
  /** The organization's index, asked in the caller's name; every call and answer is in the border ledger. */
  index(principal: ActingPrincipal): Client<typeof IndexService>;
}
