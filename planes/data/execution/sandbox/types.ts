/** A place where a task's process runs apart from everything else, and what makes such places. */
import type { Duplex, Readable } from "node:stream";

/** The parts of an installation that sandboxes see, read-only. Paths on this machine. */
export interface Installation {
  /** The Node binary that runs workers. */
  readonly node: string;
  /** Folder with `worker.mjs`, `sdk.mjs` and, where the build could make one, `worker.blob`. */
  readonly dist: string;
  /** A folder named `node_modules` with the packages that bundles leave out; undefined: none. */
  readonly taskModules: string | undefined;
}

/** Paths as the process inside sees them. */
export interface InsidePaths {
  readonly node: string;
  /** What a worker starts from where there is one; the two files otherwise. */
  readonly snapshot: string | undefined;
  readonly worker: string;
  readonly sdk: string;
  /** Serves a proxy and starts a program; undefined where programs have the machine's network. */
  readonly firstProcess: string | undefined;
  /** Folder that holds the task modules; undefined: none. */
  readonly installation: string | undefined;
  readonly sockets: string;
  /** Private and writable. */
  readonly scratch: string;
}

export interface ResourceLimits {
  /** Of the whole tree; undefined: the executor's default. */
  readonly memoryBytes: number | undefined;
  /** Cores, fractions allowed; undefined: no limit. */
  readonly cpus: number | undefined;
}

export interface SandboxOptions {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Folder with the sandbox's sockets, given to its user. */
  readonly socketFolder: string;
  /** A socket on file descriptor 3. */
  readonly control: boolean;
  /** It gives way to everything else until `hasten`, where control groups can say so. */
  readonly background: boolean;
}

export interface SandboxEnd {
  /** Undefined where a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** The tree was ended because it had more memory than it may. */
  readonly memoryExceeded: boolean;
}

export interface Sandbox {
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** The executor's end of file descriptor 3; undefined where none was asked for. */
  readonly control: Duplex | undefined;
  /** Everything inside has ended. */
  readonly ended: Promise<SandboxEnd>;
  setLimits(limits: ResourceLimits): void;
  /** From now on it gets its full share of the processors. */
  hasten(): void;
  /** Whether some memory limit was hit since the limits were set. */
  memoryExceeded(): boolean;
  /** False where the task left processes behind. */
  isAlone(): boolean;
  /** Ends the whole tree at once, daemons included. */
  kill(): void;
}

/** The snapshot's file in `dist`. */
export const snapshotFile = "worker.blob";

export interface SandboxLauncher {
  readonly kind: "bubblewrap" | "none";
  readonly inside: (socketFolder: string) => InsidePaths;
  /** `user`: whom the sandbox's sockets belong to; undefined: this process's own. */
  start(options: SandboxOptions, user: number | undefined): Promise<Sandbox>;
  /** Starts no more, and ends what still runs. */
  close(): Promise<void>;
}
