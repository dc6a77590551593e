/**
 * A control plane that was taken over: the honest services on the honest state, with an attacker between them and the
 * wire who reads everything, changes intents, and says what he likes.
 */
import { readFile } from "node:fs/promises";
import { createSecureServer, type Http2SecureServer } from "node:http2";
import { join } from "node:path";
import { limits } from "@biplane/base";
import {
  type ConnectRequest,
  type ConnectResponse,
  EnrollmentService,
  IndexService,
  type Intent,
  LinkService,
  OutgoingOrder,
} from "@biplane/control-wire";
import {
  BoundedQueue,
  createConnectServer,
  createLogger,
  issueCertificate,
  listen,
  systemClock,
} from "@biplane/kit";
import type { HandlerContext, Interceptor, ServiceImpl } from "@connectrpc/connect";
import { createLocalAdmin } from "../../planes/control/admin/admin.ts";
import { peerContext } from "../../planes/control/clusters/peer.ts";
import { LinkSessions } from "../../planes/control/clusters/sessions.ts";
import { SignedDocuments } from "../../planes/control/documents/documents.ts";
import { createEnrollmentService } from "../../planes/control/enrollment/service.ts";
import { createInterceptors } from "../../planes/control/interceptors.ts";
import { DocumentExchange } from "../../planes/control/link/document-exchange.ts";
import { createIndexService } from "../../planes/control/link/index-service.ts";
import { createLinkService } from "../../planes/control/link/service.ts";
import { Policies } from "../../planes/control/policy/policies.ts";
import { listenerTls } from "../../planes/control/server-certificate.ts";
import { type ControlState, openState } from "../../planes/control/state.ts";
import { Known } from "./known.ts";

/** What goes down in place of an honest intent. */
export type IntentChange = (
  intent: ConnectResponse,
  value: Intent,
  known: Known,
) => Promise<ConnectResponse[]>;

const log = createLogger({ component: "hostile" });
const queueMax = 1_024;
const connectedMsMax = 30_000;

export class ModifiedControlPlane {
  readonly known: Known;
  readonly #honest: ServiceImpl<typeof LinkService>;
  readonly #state: ControlState;
  readonly #address: string;
  /** What the honest services said; only that is worth recording. */
  readonly #said = new WeakSet<ConnectResponse>();
  #change: IntentChange | undefined;
  #isWithholding = false;
  #live: BoundedQueue<ConnectResponse> | undefined;

  private constructor(
    known: Known,
    honest: ServiceImpl<typeof LinkService>,
    state: ControlState,
    address: string,
  ) {
    this.known = known;
    this.#honest = honest;
    this.#state = state;
    this.#address = address;
  }

  static async start(folder: string, port: number, org: string): Promise<ModifiedControlPlane> {
    const state = await openState({ folder, databaseUrl: undefined, log });
    const sessions = new LinkSessions();
    const signed = new SignedDocuments(state.store, state.audit, systemClock);
    const documents = new DocumentExchange(signed, sessions, log);
    const policies = new Policies(signed, systemClock, () => true);
    const shared = { store: state.store, clock: systemClock, region: "local" };
    const link = { ...shared, audit: state.audit, sessions, documents, log };
    const read = (name: string) => readFile(join(folder, name), "utf8");
    const provider = {
      certificatePem: await read("provider-root.pem"),
      privateKeyPem: await read("provider-root.key"),
    };
    const known = new Known(org, provider);
    const plane = new ModifiedControlPlane(known, createLinkService(link), state, `localhost:${port}`);
    const linkAddress = () => `localhost:${port}`;
    const enrollment = { ...shared, documents: signed, authority: state.authority, linkAddress };
    const server = createConnectServer({
      tls: await listenerTls(state.authority, ["localhost", "127.0.0.1"]),
      requestBytesMax: limits.linkMessageBytesMax,
      contextValues: peerContext,
      interceptors: [readTokens(known), ...createInterceptors({ ...shared, audit: state.audit })],
      routes: (router) => {
        router.service(LinkService, { connect: (requests, context) => plane.#connect(requests, context) });
        router.service(IndexService, createIndexService({ ...link, policies }));
        router.service(EnrollmentService, createEnrollmentService(enrollment));
      },
    });
    await listen(server, port, "127.0.0.1");
    return plane;
  }

  async enrollCode(cluster: string): Promise<string> {
    const addresses = { edge: "localhost:1", public: {} };
    const admin = createLocalAdmin({ state: this.#state, linkAddress: () => this.#address, addresses });
    const code = { org: this.known.org, cluster, lifetimeMinutes: 60, addresses };
    return (await admin.run("enroll-code", code)).code;
  }

  /** From now on; undefined makes it honest again. */
  changeIntents(change: IntentChange | undefined): void {
    this.#change = change;
  }

  /** From now on: whether what the authority signs goes down to nobody. */
  withholdDocuments(isWithholding: boolean): void {
    this.#isWithholding = isWithholding;
  }

  /** Into the connection that is open, as its next message. */
  say(message: ConnectResponse): void {
    if (this.#live?.tryPush(message) !== true) throw new Error("No cluster is connected.");
  }

  /** A cluster that refused something dials again a moment later. */
  async connected(): Promise<void> {
    for (const deadline = Date.now() + connectedMsMax; this.#live === undefined; ) {
      if (Date.now() > deadline) throw new Error("No cluster is connected.");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async *#connect(
    requests: AsyncIterable<ConnectRequest>,
    context: HandlerContext,
  ): AsyncGenerator<ConnectResponse> {
    const down = new BoundedQueue<ConnectResponse>(queueMax);
    const order = new OutgoingOrder();
    const ended = this.#forward(
      this.#honest.connect(requests, context) as AsyncIterable<ConnectResponse>,
      down,
    );
    ended.catch(() => undefined);
    this.known.connection += 1;
    try {
      for await (const message of down) {
        if (message.message.case === "welcome" && message.sequence === 0n) order.begin(message.session);
        if (message.sequence === 0n) order.stamp(message);
        if (message.message.case === "welcome") this.#live = down;
        if (this.#said.has(message)) this.known.remember(message);
        yield message;
      }
      await ended;
    } finally {
      down.close();
      if (this.#live === down) this.#live = undefined;
    }
  }

  /** Takes what the honest service says, and its numbers off it. */
  async #forward(honest: AsyncIterable<ConnectResponse>, down: BoundedQueue<ConnectResponse>): Promise<void> {
    try {
      for await (const message of honest) {
        this.#said.add(message);
        message.sequence = 0n;
        for (const changed of await this.#changed(message)) await down.push(changed);
      }
    } finally {
      down.close();
    }
  }

  async #changed(message: ConnectResponse): Promise<ConnectResponse[]> {
    if (message.message.case === "document" && this.#isWithholding) return [];
    if (message.message.case !== "intent" || this.#change === undefined) return [message];
    return this.#change(message, message.message.value, this.known);
  }
}

function readTokens(known: Known): Interceptor {
  return (next) => (request) => {
    const [, token] = /^Bearer (.+)$/.exec(request.header.get("authorization") ?? "") ?? [];
    if (token !== undefined) known.tokens.add(token);
    return next(request);
  };
}

export interface Impersonation {
  readonly server: Http2SecureServer;
  /** Requests that clients sent it. */
  requests: number;
}

/** A server in the router's place, under a certificate of the provider for its name. */
export async function impersonate({ provider }: Known, port: number): Promise<Impersonation> {
  const names = { commonName: "router", hosts: ["localhost"], uses: ["server"] } as const;
  const identity = await issueCertificate(provider, { ...names, lifetimeMs: 3_600_000 });
  const server = createSecureServer({
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    allowHTTP1: true,
  });
  const impersonation: Impersonation = { server, requests: 0 };
  server.on("request", (_request, response) => {
    impersonation.requests += 1;
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return impersonation;
}
