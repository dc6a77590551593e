/** What data plane and spawner tell each other; streams come as connections that begin with a header. */

export interface StartRequest {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Where the data plane takes the sandbox's streams. */
  readonly socketPath: string;
  readonly control: boolean;
  /** The process leads a process group, since no namespace ends what it leaves behind. */
  readonly ownGroup: boolean;
  /** File with the filter of system calls, given to the process as descriptor 5. */
  readonly filter: string | undefined;
  readonly groups: { readonly folders: readonly string[]; readonly settings: readonly [string, string][] };
}

export type ToSpawner =
  | { readonly id: number; readonly start: StartRequest }
  | { readonly id: number; readonly kill: true }
  /** Folders of control groups in which nothing runs any more. */
  | { readonly remove: readonly string[] };

export type FromSpawner =
  | { readonly id: number; readonly started: { readonly pid: number | undefined } }
  | { readonly id: number; readonly failed: string }
  /** Everything inside has ended. */
  | {
      readonly id: number;
      readonly ended: { readonly exitCode?: number | undefined; readonly signal?: string | undefined };
    };

export const streamNames = ["stdout", "stderr", "control"] as const;
export type SandboxStream = (typeof streamNames)[number];

export const streamHeaderBytes = 5;

export function encodeStreamHeader(id: number, stream: SandboxStream): Uint8Array {
  const header = Buffer.alloc(streamHeaderBytes);
  header.writeUInt32BE(id);
  header.writeUInt8(streamNames.indexOf(stream), 4);
  return header;
}

export function decodeStreamHeader(header: Buffer): { id: number; stream: SandboxStream | undefined } {
  return { id: header.readUInt32BE(), stream: streamNames[header.readUInt8(4)] };
}
