/**
 * Where connections come in. The plane opens no port: the connector brings the public's, sandboxes have unix sockets of
 * their own. Only behind the customer's balancer does it listen, when it is told to.
 */
import { chmod } from "node:fs/promises";
import type { Server } from "node:tls";
import { BiplaneError } from "@biplane/base";
import { eventOf } from "@biplane/kit/audit-log";
import { type Closeable, Closers } from "@biplane/kit/lifecycle";
import { type ConnectorEvent, feedTlsServer, startConnector, tunnelName } from "@biplane/tunnel-connector";
import { type DataPlaneConfig, ownHosts } from "./config.ts";
import type { TaskEgress } from "./egress/proxy.ts";
import type { SandboxEntrances } from "./execution/types.ts";
import type { ServingCertificate } from "./identity/certificates.ts";
import { type Enrollment, readEnrollment } from "./link/index.ts";
import type { Router } from "./router/router.ts";
import type { Servers, Service } from "./routing.ts";
import type { OpenParts, Stores } from "./stores.ts";

export interface PublicEntrance extends Closeable {
  /** Resolves once the public can come in, or when the signal aborts. */
  open(signal: AbortSignal): Promise<boolean>;
}

/** Serves the public: through the edge, or at ports of its own. */
export async function openToPublic(
  parts: OpenParts,
  stores: Stores,
  servers: Servers,
): Promise<PublicEntrance> {
  if (!parts.options.listen) return dialEdge(parts, stores, servers);
  const closers = new Closers();
  for (const [service, server] of Object.entries(servers) as [Service, Server][]) {
    const { port } = new URL(parts.config.addresses[service]);
    closers.add(await listenAt(server, Number(port || 443)));
  }
  return { open: async () => true, close: () => closers.close() };
}

async function dialEdge(parts: OpenParts, stores: Stores, servers: Servers): Promise<PublicEntrance> {
  const { options, paths, config } = parts;
  const read = async () => requireEnrollment(await readEnrollment(paths.link));
  const enrollment = await read();
  const services = Object.fromEntries(
    (Object.entries(servers) as [Service, Server][]).flatMap(([service, server]) => {
      const consumer = feedTlsServer(server);
      return namesOf(service, config, enrollment).map((name) => [name, consumer]);
    }),
  );
  const connector = startConnector({
    edge: parseEdge(options.edge ?? enrollment.edgeAddress),
    authorityPem: enrollment.providerRootPem,
    identity: async () => (await read()).identity,
    services,
    log: options.log,
    onEvent: (event) => recordTunnel(parts, stores, event),
  });
  return {
    open: (signal) =>
      connector.connected(signal).then(
        () => true,
        () => false,
      ),
    close: async () => {
      const drained = connector.close();
      // They listen nowhere: this says good-bye to clients that ask for nothing at the moment.
      for (const server of Object.values(servers)) server.close();
      await drained;
    },
  };
}

/** Tunnel health belongs to the audit trail (claim AUD-2); attempts to dial do not: an absent edge would fill it. */
function recordTunnel({ options }: OpenParts, stores: Stores, event: ConnectorEvent): void {
  if (event.kind === "dial_failed") return;
  const code = event.kind === "connected" ? "TUNNEL_CONNECTED" : "TUNNEL_DISCONNECTED";
  const record = eventOf(code, { requestId: `connection-${event.connection}` });
  stores.audit.record(record).catch((error: unknown) => {
    options.log.error({ event: "audit_failed", error }, "a tunnel event could not be recorded");
  });
}

/** The tunnel's own name, and the public one where the certificate lists it, for edges that go by server names. */
function namesOf(service: Service, config: DataPlaneConfig, enrollment: Enrollment): string[] {
  const { cluster, org } = config;
  const { hostname } = new URL(config.addresses[service]);
  const own = tunnelName({ service, cluster, org });
  const isShared = ownHosts(config).filter((host) => host === hostname).length > 1;
  return isShared || enrollment.addresses[service] === undefined ? [own] : [own, hostname];
}

function parseEdge(address: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(address);
  if (match !== null) return { host: match[1]!.replace(/^\[|\]$/g, ""), port: Number(match[2]) };
  throw new BiplaneError("failed_precondition", {
    what: "This data plane does not know its edge.",
    why: "The control plane named none when the cluster was enrolled.",
    next: "Give its tunnel's address by --edge HOST:PORT, or use --listen behind a balancer of your own.",
  });
}

function requireEnrollment(enrollment: Enrollment | undefined): Enrollment {
  if (enrollment !== undefined) return enrollment;
  throw new BiplaneError("failed_precondition", {
    what: "This data plane is not enrolled with a control plane.",
    next: "Run `biplane data init` with a code of `biplane control enroll-code`.",
  });
}

function listenAt(server: Server, port: number): Promise<Closeable> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve({ close: async () => void server.close() });
    });
  });
}

/** Each sandbox's own way to the router, to the object store, and to what its project was allowed; names are verified on them as anywhere else. */
export function sandboxEntrances(
  stores: Stores,
  router: Router,
  egress: TaskEgress,
  serving: ServingCertificate,
): SandboxEntrances {
  return {
    openEgress: (path, attempt) => egress.openSandbox(path, attempt),
    openRouter: (path, attempt) => router.openSandbox(path, attempt),
    openStore: async (path) => {
      const server = stores.objects.createServer({ identity: serving.identity }, "sandbox");
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(path, resolve);
      });
      // The sandbox runs as another user; its folder is what keeps everybody else out.
      await chmod(path, 0o666);
      return { close: () => void server.close() };
    },
  };
}
