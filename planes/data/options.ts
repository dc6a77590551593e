/** How a data plane is started; main.ts makes this of the command line. */
import type { Egress } from "@biplane/kit/egress";
import type { Logger } from "@biplane/kit/logging";
import type { Installation } from "./execution/sandbox/types.ts";

export interface DataPlaneOptions {
  readonly state: string;
  readonly databaseUrl: string | undefined;
  readonly installation: Installation;
  readonly slots: number | undefined;
  readonly sandboxes: number | undefined;
  readonly allowUnsandboxed: boolean;
  /** Opens TCP ports of its own at its addresses' ports, behind the customer's balancer, and dials no edge. */
  readonly listen: boolean;
  /** `host:port` of the edge's tunnel listener, in place of the one that enrollment named. */
  readonly edge: string | undefined;
  /** How long what the authority signs is believed; `limits.documentMs` where it is not said. */
  readonly documentMs: number | undefined;
  /** How long the certificates of its servers are good; 30 days where it is not said. */
  readonly certificateMs?: number | undefined;
  /** Audit records older than so many days are dropped; undefined keeps all. */
  readonly auditDays?: number | undefined;
  /** How long log lines of tasks are kept, and how much of them; undefined: 30 days, 10 GiB. */
  readonly logDays?: number | undefined;
  readonly logGib?: number | undefined;
  /** Lifetimes of tokens, where they are to be shorter than usual. */
  readonly accessTokenMs?: number | undefined;
  readonly taskTokenMs?: number | undefined;
  /** PEM: believed besides the system's authorities in connections to the customer's other systems. */
  readonly extraAuthorityPem?: string | undefined;
  /** Where the operator says that the database is, where it does not say so itself. */
  readonly databaseRegion?: string | undefined;
  /** The list of what the plane may connect to; whoever starts the process enforces it. */
  readonly egress: Egress;
  readonly softwareVersion: string;
  readonly log: Logger;
}
