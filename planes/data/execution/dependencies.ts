/** What the executor needs of its neighbours. */
import type { Clock, Logger } from "@biplane/kit";
import type { TokenIssuer } from "../identity/types.ts";
import type { LogStore } from "../logs/types.ts";
import type { ObjectGrants, ObjectStore } from "../objects/types.ts";
import type { ActionQueue, Runs } from "../runs/types.ts";
import type { Installation } from "./sandbox/types.ts";
import type { SandboxEntrances } from "./types.ts";

export interface ExecutorOptions {
  readonly queue: ActionQueue;
  readonly runs: Pick<Runs, "getAction">;
  readonly objects: ObjectStore;
  readonly grants: Pick<ObjectGrants, "sessionCredentials">;
  readonly logs: LogStore;
  readonly tokens: Pick<TokenIssuer, "taskToken" | "revokeAttempt" | "taskTokenMs">;
  readonly entrances: SandboxEntrances;
  /** Whether tasks of the project may connect to anything; by default they may not. */
  readonly hasHosts?: (project: string) => boolean;
  /** The organization's root: the only authority that workers believe. PEM; asked for with each sandbox. */
  readonly authorityPem: () => string;
  /** `https://host:port` as the certificates name them; dialled through the sandbox's sockets. */
  readonly routerEndpoint: string;
  readonly storeEndpoint: string;
  /** Owned by the executor. */
  readonly folder: string;
  readonly installation: Installation;
  /** Tasks that use the processors at once; by default one per core. */
  readonly slots?: number;
  /** Sandboxes at once, waiting and idle ones included. */
  readonly sandboxesMax?: number;
  /** For tasks that don't say; by default half of the machine's. */
  readonly memoryBytesDefault?: number;
  readonly allowUnsandboxed?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}
