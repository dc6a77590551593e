import type { IndexService } from "@biplane/control-wire";
import type { Client } from "@connectrpc/connect";

/** The control plane as the rest of the data plane sees it. */
export interface ControlPlane {
  readonly connected: boolean;
  /** The organization's index, asked in the name of a subject; every call and answer is in the border ledger. */
  index(subject: string): Client<typeof IndexService>;
}
