/** What the tunnel bench's processes say to each other over their parent's channel. */
import type { TlsIdentity } from "@biplane/kit/tls";

export interface ServerSetup {
  readonly serverIdentity: TlsIdentity;
  readonly connectorIdentity: TlsIdentity;
  readonly providerPem: string;
  readonly edge: { readonly host: string; readonly port: number };
  readonly tunnelName: string;
}

export interface RelaySetup {
  readonly identity: TlsIdentity;
  readonly authorityPem: string;
  readonly targetPort: number;
}

export interface BulkJob {
  readonly kind: "bulk";
  readonly direction: "down" | "up";
  readonly port: number;
  readonly authorityPem: string;
  readonly bytes: number;
}

export interface RequestsJob {
  readonly kind: "requests";
  readonly port: number;
  readonly authorityPem: string;
  readonly perSecond: number;
  readonly durationMs: number;
  readonly bodyBytes: number;
  readonly sockets: number;
}

export interface BulkResult {
  readonly seconds: number;
}

export interface RequestsResult {
  readonly sent: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Waits for the one message that sets a process up. */
export function receiveSetup<Setup>(): Promise<Setup> {
  return new Promise((resolve) => process.once("message", (setup) => resolve(setup as Setup)));
}

export function report(message: object): void {
  process.send?.(message);
}
