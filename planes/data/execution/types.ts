import type { Server } from "node:tls";
import type { AttemptId } from "@biplane/base";

/** Gives each sandbox its own entrance to the router and the store: unix sockets whose caller is known. */
export interface SandboxEntrances {
  /** Listens on `path`; `attempt` names who is in the sandbox at the moment. */
  openRouter(path: string, attempt: () => AttemptId | undefined): Promise<Server | { close(): void }>;
  openStore(path: string): Promise<Server | { close(): void }>;
  /** The proxy by which tasks reach what their project was allowed. */
  openEgress(path: string, attempt: () => AttemptId | undefined): Promise<{ close(): void }>;
}
