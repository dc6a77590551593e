/** The control plane as a whole: one listener with the link, the index and enrollment, over one state. */
import type { ServerResponse } from "node:http";
import { limits } from "@biplane/base";
import { EnrollmentService, IndexService, LinkService } from "@biplane/control-wire";
import {
  type Clock,
  Closers,
  createConnectServer,
  type HttpRequest,
  type HttpResponse,
  type Logger,
  listen,
  serverCloser,
  systemClock,
} from "@biplane/kit";
import { createLocalAdmin, type Parameters } from "./admin/admin.ts";
import { serveAdmin } from "./admin/socket.ts";
import { UnreadRequests } from "./audit/unread.ts";
import { LinkSessions } from "./clusters/sessions.ts";
import { SignedDocuments } from "./documents/documents.ts";
import { createEnrollmentService } from "./enrollment/service.ts";
import { createInterceptors, holdingBack } from "./interceptors.ts";
import { DocumentExchange } from "./link/document-exchange.ts";
import { createIndexService } from "./link/index-service.ts";
import { createLinkService } from "./link/service.ts";
import { Policies } from "./policy/policies.ts";
import { keepCertificateFresh, listenerTls } from "./server-certificate.ts";
import type { ControlState } from "./state.ts";

export interface ControlPlaneOptions {
  readonly state: ControlState;
  readonly host: string;
  readonly port: number;
  /** `host:port` as data planes dial it; undefined: where it listens. */
  readonly advertise: string | undefined;
  readonly addresses: Parameters<"enroll-code">["addresses"];
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface ControlPlane {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { state, host, log } = options;
  const { region } = state;
  const clock = options.clock ?? systemClock;
  const closers = new Closers();
  const sessions = new LinkSessions();
  let port = options.port;
  const linkAddress = () => options.advertise ?? `${host === "127.0.0.1" ? "localhost" : host}:${port}`;
  const documents = new SignedDocuments(state.store, state.audit, clock);
  const exchange = new DocumentExchange(documents, sessions, log);
  const link = { store: state.store, audit: state.audit, sessions, documents: exchange, clock, log, region };
  const enrollment = {
    store: state.store,
    documents,
    clock,
    authority: state.authority,
    region,
    linkAddress,
  };
  const policies = new Policies(documents, clock, (org) => sessions.of(org).next().done === false);
  const hosts = hostsOf(host, options.advertise);
  const unread = new UnreadRequests(state.audit, clock, log);
  const server = createConnectServer({
    tls: await listenerTls(state.authority, hosts),
    requestBytesMax: limits.linkMessageBytesMax,
    contextValues: (request) => unread.context(request),
    before: (request, response) => {
      unread.watch(request, response);
      return refuseText(request, response);
    },
    interceptors: [...createInterceptors({ store: state.store, clock, audit: state.audit }), holdingBack],
    routes: (router) => {
      router.service(LinkService, createLinkService(link));
      router.service(IndexService, createIndexService({ ...link, policies }));
      router.service(EnrollmentService, createEnrollmentService(enrollment));
    },
  });
  server.maxConnections = limits.connectionsMax;
  closers.add(serverCloser(server));
  closers.add(keepCertificateFresh(server, state.authority, hosts, log));
  closers.add(sessions);
  port = await listen(server, options.port, host);
  try {
    const admin = createLocalAdmin({ state, linkAddress, addresses: options.addresses, clock });
    closers.add(await serveAdmin(state.folder, admin));
  } catch (error) {
    await closers.close();
    throw error;
  }
  log.info({ event: "listening", host, port }, "control plane is listening");
  return { host, port, close: () => closers.close() };
}

function hostsOf(host: string, advertise: string | undefined): string[] {
  const advertised = advertise === undefined ? [] : [new URL(`https://${advertise}`).hostname];
  return [...new Set(["localhost", "127.0.0.1", host, ...advertised])];
}

/** Text forms drop unknown fields in silence; the link is binary, so that they are seen and refused (claim CLS-2). */
function refuseText(request: HttpRequest, response: HttpResponse): boolean {
  const type = request.headers["content-type"] ?? "";
  if (type === "application/proto" || type === "application/connect+proto") return false;
  const plain = response as ServerResponse;
  plain.writeHead(415, { "content-type": "text/plain" });
  plain.end("The control plane speaks binary Connect only.\n");
  return true;
}
