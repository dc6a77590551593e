/** The router: where TLS ends and every client's and every task's request is decided, recorded and served. */
import { chmod } from "node:fs/promises";
import type { Http2SecureServer } from "node:http2";
import { type AttemptId, BiplaneError, KiB, type OrgId } from "@biplane/base";
import { rpcTable } from "@biplane/classification";
import {
  createConnectHandler,
  createHttpServer,
  type HttpRequest,
  serverCloser,
} from "@biplane/kit/connect-server";
import type { Logger } from "@biplane/kit/logging";
import type { TlsIdentity } from "@biplane/kit/tls";
import type { DescService } from "@bufbuild/protobuf";
import { createContextValues, type ServiceImpl } from "@connectrpc/connect";
import type { Entrance } from "../identity/types.ts";
import { type Call, callKey } from "./call.ts";
import { createGate, type GateParts } from "./gate.ts";
import { type ChainParts, createDecisionInterceptor } from "./interceptors.ts";

/** A service with the methods of it that are served; use `serve` to make one. */
export interface ServedService {
  readonly service: DescService;
  readonly implementation: Partial<ServiceImpl<DescService>>;
  readonly requestBytesMax: number;
}

/** Requests of most services are small; those that carry values say so by `requestBytesMax`. */
export function serve<S extends DescService>(
  service: S,
  implementation: Partial<ServiceImpl<S>>,
  requestBytesMax = requestBytesMaxDefault,
): ServedService {
  return {
    service,
    implementation: implementation as Partial<ServiceImpl<DescService>>,
    requestBytesMax,
  };
}

const requestBytesMaxDefault = 256 * KiB;

export interface RouterParts extends GateParts, ChainParts {
  readonly org: OrgId;
  /** Read for each new server, so that a sandbox opened late gets a fresh certificate. */
  readonly serving: { readonly identity: TlsIdentity };
  readonly services: readonly ServedService[];
  readonly log: Logger;
}

export interface Router {
  /** The public entrance; it is fed connections by the connector, or listens where the plane is told to. */
  readonly server: Http2SecureServer;
  /** One sandbox's entrance: a unix socket whose caller is known. */
  openSandbox(path: string, attempt: () => AttemptId | undefined): Promise<{ close(): void }>;
}

export function createRouter(parts: RouterParts): Router {
  requireRows(parts.services);
  const gate = createGate(parts);
  const entrances = new WeakMap<HttpRequest, Entrance>();
  const calls = new WeakMap<HttpRequest, Call>();
  const handler = createConnectHandler({
    routes: (router) => {
      for (const { service, implementation, requestBytesMax } of parts.services) {
        router.service(service, implementation, { readMaxBytes: requestBytesMax });
      }
    },
    interceptors: [createDecisionInterceptor(parts)],
    before: async (request, response) => {
      const call = await gate(request, response, entrances.get(request)!);
      if (call === undefined) return true;
      calls.set(request, call);
      response.once("close", () => recordUnread(parts, call));
      return false;
    },
    contextValues: (request) => createContextValues().set(callKey, calls.get(request)),
  });
  const open = (entrance: Entrance) =>
    createHttpServer({ identity: parts.serving.identity }, async (request, response) => {
      entrances.set(request, entrance);
      try {
        await handler(request, response);
      } catch (error) {
        // The audit log could not be written: what can't be recorded does not happen.
        parts.log.error({ event: "request_lost", error }, "a request could not be handled");
        response.destroy();
      }
    });
  return {
    server: open({ kind: "public", address: "" }),
    openSandbox: async (path, attempt) => {
      const server = open({ kind: "sandbox", attempt });
      const closer = serverCloser(server, 0);
      await listenOn(server, path);
      return { close: () => void closer.close() };
    },
  };
}

/** What can't be read never comes to a decision: it did not happen, and is on record all the same (claim AUD-1). */
function recordUnread({ audit, log }: RouterParts, call: Call): void {
  if (call.isRecorded) return;
  const unread = new BiplaneError("invalid_argument", "The request can't be read.", { reason: "unreadable" });
  audit.refused(call, unread).catch((error: unknown) => {
    log.error({ event: "audit_failed", error }, "a request that can't be read could not be recorded");
  });
}

/** Serving a method without a row would be serving it undecided. */
export function requireRows(services: readonly ServedService[]): void {
  for (const name of methodNames(services)) {
    if (Object.hasOwn(rpcTable, name)) continue;
    throw new BiplaneError("internal", {
      what: `The method ${name} has no row in the RPC table.`,
      next: "Add one to contracts/classification/rpc-table.ts.",
    });
  }
}

export function methodNames(services: readonly ServedService[]): string[] {
  return services.flatMap(({ service, implementation }) =>
    service.methods
      .filter((method) => method.localName in implementation)
      .map((method) => `${service.typeName}/${method.name}`),
  );
}

function listenOn(server: Http2SecureServer, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      // The sandbox runs as another user; its folder is what keeps everybody else out.
      chmod(path, 0o666).then(resolve, reject);
    });
  });
}
