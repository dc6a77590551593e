/** Edge and connector with its server as processes of their own, with the certificates that they need. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import type { TlsIdentity } from "@biplane/kit/tls";
import type { ServerSetup } from "./tunnel-messages.ts";

const tunnelName = "home.acme.tunnel.biplane.internal";
const services = ["bulk", "requests"] as const;
const hourMs = 3_600_000;

type Ports = Record<(typeof services)[number], number>;

export interface Child<Ready> {
  readonly process: ChildProcess;
  readonly ready: Ready;
}

interface EdgeReady {
  readonly tunnel: { readonly host: string; readonly port: number };
  readonly listeners: readonly { readonly port: number }[];
}

export class TunnelProcesses {
  /** The customer's authority, which clients believe. */
  readonly authorityPem: string;
  readonly serverIdentity: TlsIdentity;
  edge!: Child<EdgeReady>;
  server!: Child<{ readonly bulkPort: number; readonly requestsPort: number }>;
  readonly #folder: string;
  readonly #provider: TlsIdentity;
  readonly #connectorIdentity: TlsIdentity;
  readonly #children = new Set<ChildProcess>();

  private constructor(
    folder: string,
    provider: TlsIdentity,
    authorityPem: string,
    identities: { server: TlsIdentity; connector: TlsIdentity },
  ) {
    this.#folder = folder;
    this.#provider = provider;
    this.authorityPem = authorityPem;
    this.serverIdentity = identities.server;
    this.#connectorIdentity = identities.connector;
  }

  static async start(): Promise<TunnelProcesses> {
    const provider = await createRootAuthority("provider", hourMs);
    const organization = await createRootAuthority("acme", hourMs);
    const system = new TunnelProcesses(
      await mkdtemp(join(tmpdir(), "tunnel-")),
      provider,
      organization.certificatePem,
      {
        server: await issue(organization, ["server"], ["localhost"]),
        connector: await issue(provider, ["client"], services.map(nameOf)),
      },
    );
    await system.startEdge();
    await system.startServer();
    return system;
  }

  /** Where clients reach the services through the tunnel. */
  get publicPorts(): Ports {
    const [bulk, requests] = this.edge.ready.listeners.map(({ port }) => port);
    return { bulk: bulk!, requests: requests! };
  }

  /** Where they reach them without it. */
  get directPorts(): Ports {
    return { bulk: this.server.ready.bulkPort, requests: this.server.ready.requestsPort };
  }

  /** The second time on the ports of the first. */
  async startEdge(): Promise<void> {
    await this.#writeEdgeState();
    const child = fork(join(import.meta.dirname, "../tunnel/edge/main.ts"), ["--state", this.#folder], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
      env: { ...process.env, LOG_LEVEL: "error" },
    });
    this.#children.add(child);
    const [line] = await once(createInterface({ input: child.stdout! }), "line");
    this.edge = { process: child, ready: JSON.parse(String(line)) as EdgeReady };
  }

  async startServer(): Promise<void> {
    const setup: ServerSetup = {
      serverIdentity: this.serverIdentity,
      connectorIdentity: this.#connectorIdentity,
      providerPem: this.#provider.certificatePem,
      edge: this.edge.ready.tunnel,
      tunnelName,
    };
    this.server = await this.fork("./tunnel-server.ts", setup);
  }

  async fork<Ready>(module: string, setup: object): Promise<Child<Ready>> {
    const child = fork(new URL(module, import.meta.url), { env: { ...process.env, LOG_LEVEL: "error" } });
    this.#children.add(child);
    child.send(setup);
    const [ready] = (await once(child, "message")) as [Ready];
    return { process: child, ready };
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    await rm(this.#folder, { recursive: true });
  }

  async #writeEdgeState(): Promise<void> {
    const before = this.edge?.ready;
    const identity = await issue(this.#provider, ["server"], ["localhost", "127.0.0.1"]);
    const listeners = services.map((service, index) => ({
      name: service,
      port: before?.listeners[index]?.port ?? 0,
      tunnel: nameOf(service),
    }));
    const files = {
      "identity.crt": identity.certificatePem,
      "identity.key": identity.privateKeyPem,
      "clients-ca.crt": this.#provider.certificatePem,
      "edge.json": JSON.stringify({ tunnel: { port: before?.tunnel.port ?? 0 }, listeners }),
    };
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(this.#folder, name), content, { mode: 0o600 });
    }
  }
}

function nameOf(service: string): string {
  return `${service}.${tunnelName}`;
}

function issue(
  issuer: TlsIdentity,
  uses: readonly ("server" | "client")[],
  hosts: readonly string[],
): Promise<TlsIdentity> {
  return issueCertificate(issuer, { commonName: hosts[0]!, hosts, uses, lifetimeMs: hourMs });
}
