/** Where a data plane keeps what: every path below its state folder, in one place. */
import { homedir } from "node:os";
import { join } from "node:path";

export interface StatePaths {
  readonly folder: string;
  readonly config: string;
  readonly profile: string;
  /** System key: identity, policy, audit, queue. Customer keys are in a folder of their own. */
  readonly systemKey: string;
  /** The organization's root key, sealed; in the home cluster only. */
  readonly root: string;
  /** A new root that is taking its place, sealed; gone once it has. */
  readonly nextRoot: string;
  readonly customerKeys: string;
  readonly projectKeys: string;
  readonly certificates: string;
  readonly identity: string;
  readonly link: string;
  readonly ledger: string;
  readonly database: string;
  readonly objects: string;
  readonly logs: string;
  readonly audit: string;
  readonly execution: string;
}

export function statePaths(folder: string): StatePaths {
  return {
    folder,
    config: join(folder, "config.json"),
    profile: join(folder, "profile.json"),
    systemKey: join(folder, "keys", "system.key"),
    root: join(folder, "keys", "root.sealed"),
    nextRoot: join(folder, "keys", "root-next.sealed"),
    customerKeys: join(folder, "keys", "customer"),
    projectKeys: join(folder, "keys", "projects"),
    certificates: join(folder, "certificates.sealed"),
    identity: join(folder, "identity"),
    link: join(folder, "link"),
    ledger: join(folder, "ledger"),
    database: join(folder, "database"),
    objects: join(folder, "objects"),
    logs: join(folder, "logs"),
    audit: join(folder, "audit"),
    execution: join(folder, "execution"),
  };
}

export function defaultStateFolder(): string {
  return join(homedir(), ".local", "share", "biplane", "data");
}
