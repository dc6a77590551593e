/** What the router answers to GET: its health, and pages for people who are signed in. */
import { randomUUID } from "node:crypto";
import { BiplaneError, type ErrorCode, isBiplaneError, type OrgId, type RunId } from "@biplane/base";
import type { RpcRow } from "@biplane/classification";
import type { HttpRequest, HttpResponse } from "@biplane/kit/connect-server";
import { html, send, sendPage, serveStylesheet } from "@biplane/kit/html";
import type { Logger } from "@biplane/kit/logging";
import { runIdOf } from "../../api/names.ts";
import type { Authenticator, Principal } from "../../identity/types.ts";
import type { Runs } from "../../runs/types.ts";
import type { Call } from "../call.ts";
import { authorize, type DecisionParts } from "../decision.ts";
import type { AuditFiles } from "./audit-files.ts";
import { runPage } from "./run-page.ts";
import { callbackPath, type PageSessions } from "./sign-in.ts";

export interface PageParts extends DecisionParts {
  readonly org: OrgId;
  readonly authenticator: Authenticator;
  readonly sessions: PageSessions;
  readonly runs: Pick<Runs, "getRun" | "listActions">;
  readonly auditFiles: AuditFiles;
  readonly log: Logger;
}

export type Pages = (request: HttpRequest, response: HttpResponse, address: string) => Promise<void>;

/** The address that stock clients print after submitting. */
const runPath = /^\/v2\/domain\/([^/]+)\/project\/([^/]+)\/runs\/([^/]+)\/?$/;
const readRun: RpcRow = {
  plane: "data",
  permission: "run.read",
  resource: { kind: "run", at: [] },
  audit: "PAGE_READ",
  changes: false,
};

export function createPages(parts: PageParts): Pages {
  return async (request, response, address) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return send(response, 405, { allow: "GET, HEAD, POST" }, "");
    }
    const path = (request.url ?? "").split("?")[0]!;
    if (path === "/healthz") return send(response, 200, { "content-type": "text/plain" }, "ok\n");
    if (serveStylesheet(request, response)) return;
    try {
      if (await parts.auditFiles(request, response, address)) return;
      await answer(parts, path, request, response, address);
    } catch (error) {
      sendProblem(parts.log, response, error);
    }
  };
}

async function answer(
  parts: PageParts,
  path: string,
  request: HttpRequest,
  response: HttpResponse,
  address: string,
): Promise<void> {
  if (path === callbackPath) return parts.sessions.finish(request, response);
  const match = runPath.exec(path);
  if (match === null) throw new BiplaneError("not_found", "There is no such page.");
  const [, domain = "", project = "", name = ""] = match.map(decoded);
  const id = runIdOf(parts.org, { domain, project, name });
  const principal = await whoIs(parts, request, address);
  if (principal === undefined) return parts.sessions.begin(response, path);
  const { recorded } = await authorize(parts, callOf(parts.org, path, principal, address, id));
  const page = await runPage(parts.runs, id);
  await recorded;
  sendPage(response, 200, page);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new BiplaneError("not_found", "There is no such page.");
  }
}

async function whoIs(
  parts: PageParts,
  request: HttpRequest,
  address: string,
): Promise<Principal | undefined> {
  const authorization = parts.sessions.authorization(request);
  if (authorization === undefined) return undefined;
  try {
    return await parts.authenticator.authenticate(authorization, { kind: "public", address });
  } catch (error) {
    if (isBiplaneError(error, "unauthenticated")) return undefined;
    throw error;
  }
}

function callOf(org: OrgId, path: string, principal: Principal, address: string, id: RunId): Call {
  return {
    method: `GET ${path.slice(0, 200)}`,
    row: readRun,
    org,
    principal,
    entrance: { kind: "public", address },
    requestId: randomUUID(),
    clientRequestId: undefined,
    address,
    resource: { org, project: id.project, domain: id.domain, run: id.run },
  };
}

const statuses: Partial<Record<ErrorCode, number>> = {
  not_found: 404,
  permission_denied: 403,
  unauthenticated: 401,
  invalid_argument: 400,
  unavailable: 503,
};

function sendProblem(log: Logger, response: HttpResponse, error: unknown): void {
  const status = isBiplaneError(error) ? (statuses[error.code] ?? 500) : 500;
  if (status === 500) log.error({ event: "page_failed", error }, "a page failed");
  const text = status === 500 ? "Something failed inside; the log has more." : (error as Error).message;
  sendPage(response, status, {
    title: status === 404 ? "Not here" : "That did not work",
    body: html`<p class="error" role="alert">${text}</p>`,
  });
}
