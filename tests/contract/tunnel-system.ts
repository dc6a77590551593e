/** An edge, a connector and a customer's TLS server in this process, over real sockets, for the tunnel's tests. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { connect, type Server } from "node:tls";
import {
  type CertificateOptions,
  Closers,
  createLogger,
  createRootAuthority,
  issueCertificate,
  type TlsIdentity,
} from "@biplane/kit";
import {
  type ConnectionConsumer,
  type Connector,
  type ConnectorEvent,
  feedTlsServer,
  startConnector,
} from "@biplane/tunnel-connector";
import { type Edge, type EdgeConfig, parseEdgeConfig, startEdge } from "@biplane/tunnel-edge";
import { type TunnelLimits, tunnelName } from "@biplane/tunnel-protocol";

const hourMs = 3_600_000;
export const routerName = tunnelName({ service: "router", cluster: "home", org: "acme" });

export interface Authorities {
  readonly provider: TlsIdentity;
  readonly organization: TlsIdentity;
}

export async function createAuthorities(): Promise<Authorities> {
  const [provider, organization] = await Promise.all([
    createRootAuthority("provider", hourMs),
    createRootAuthority("acme", hourMs),
  ]);
  return { provider, organization };
}

export function issue(
  issuer: TlsIdentity,
  uses: CertificateOptions["uses"],
  hosts: readonly string[],
  lifetimeMs = hourMs,
): Promise<TlsIdentity> {
  return issueCertificate(issuer, { commonName: hosts[0]!, hosts, uses, lifetimeMs });
}

export interface TunnelSystemOptions {
  readonly authorities: Authorities;
  /** Who gets the connections. */
  readonly consumer: (identity: TlsIdentity) => ConnectionConsumer;
  readonly config?: Partial<EdgeConfig>;
  readonly limits?: Partial<TunnelLimits>;
  readonly connections?: number;
  /** Of the connector; one for all dials unless given. */
  readonly identity?: () => Promise<TlsIdentity>;
}

export interface TunnelSystem {
  readonly edge: Edge;
  readonly connector: Connector;
  /** Of the listener that leads to the server. */
  readonly port: number;
  readonly organizationPem: string;
  readonly logLines: string[];
  readonly events: ConnectorEvent[];
  close(): Promise<void>;
}

export interface TestEdge {
  readonly edge: Edge;
  readonly folder: string;
  readonly logLines: string[];
}

export async function startTestEdge(
  authorities: Authorities,
  config: Partial<EdgeConfig> = {},
  limits: Partial<TunnelLimits> = {},
): Promise<TestEdge> {
  const folder = await mkdtemp(join(tmpdir(), "edge-"));
  const logLines: string[] = [];
  const identity = await issue(authorities.provider, ["server"], ["localhost", "127.0.0.1"]);
  const identityPaths = { certificate: join(folder, "identity.crt"), key: join(folder, "identity.key") };
  const edge = await startEdge({
    config: parseEdgeConfig(
      {
        tunnel: { port: 0 },
        listeners: [{ name: "router", port: 0, tunnel: routerName }],
        drainMs: 500,
        ...config,
      },
      "of the test",
    ),
    state: {
      identity,
      identityPaths,
      clientAuthorityPem: authorities.provider.certificatePem,
      revokedPath: join(folder, "revoked.txt"),
    },
    log: createLogger({ component: "edge", destination: { write: (line) => void logLines.push(line) } }),
    limits,
  });
  return { edge, folder, logLines };
}

export async function startTunnelSystem(options: TunnelSystemOptions): Promise<TunnelSystem> {
  const { authorities, limits } = options;
  const closers = new Closers();
  const { edge, folder, logLines } = await startTestEdge(authorities, options.config, limits);
  closers.add({ close: () => rm(folder, { recursive: true }) });
  closers.add(edge);
  const serverIdentity = await issue(authorities.organization, ["server"], ["localhost", "acme.example.com"]);
  const identity = await issue(authorities.provider, ["client"], [routerName, "acme.example.com"]);
  const events: ConnectorEvent[] = [];
  const consumer = options.consumer(serverIdentity);
  const connector = closers.add(
    startConnector({
      edge: { host: "localhost", port: edge.tunnel.port },
      authorityPem: authorities.provider.certificatePem,
      identity: options.identity ?? (() => identity),
      services: { [routerName]: consumer, "acme.example.com": consumer },
      log: createLogger({ component: "connector", level: "silent" }),
      onEvent: (event) => events.push(event),
      ...(options.connections === undefined ? {} : { connections: options.connections }),
      limits: { drainMs: 500, ...limits },
    }),
  );
  await connector.connected(AbortSignal.timeout(10_000));
  return {
    edge,
    connector,
    port: edge.listeners[0]!.port,
    organizationPem: authorities.organization.certificatePem,
    logLines,
    events,
    close: () => closers.close(),
  };
}

/** A consumer that is a TLS server with the organization's certificate; the server never listens. */
export function tlsServer(make: (identity: TlsIdentity) => Server): TunnelSystemOptions["consumer"] {
  return (identity) => feedTlsServer(make(identity));
}

/** A ClientHello as Node's TLS client writes it. */
export async function clientHello(servername: string): Promise<Buffer> {
  const [ours, theirs] = duplexPair();
  const client = connect({ socket: ours, servername });
  client.on("error", () => {});
  const [hello] = (await once(theirs, "data")) as [Buffer];
  client.destroy();
  return hello;
}

/** Polls until the condition holds; the caller's title says what was waited for. */
export async function until(condition: () => boolean, waitMsMax = 10_000): Promise<void> {
  const deadlineMs = performance.now() + waitMsMax;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`Not within ${waitMsMax} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
