/**
 * The audit logs as plain files over HTTP, in the layout of C2SP tlog-tiles, for tools that know nothing of Biplane:
 * `/audit/data/…` and `/audit/control/…`, with an access token as bearer (claims AUD-3, TRUST-4).
 */
import { randomUUID } from "node:crypto";
import { encodeHashes, type LogResource, parseLogPath } from "@biplane/audit";
import { BiplaneError, type OrgId } from "@biplane/base";
import type { RpcRow } from "@biplane/classification";
import type { HttpRequest, HttpResponse } from "@biplane/kit/connect-server";
import { send } from "@biplane/kit/html";
import { type AuditParts, type AuditSource, controlSource, dataSource } from "../../audit/sources.ts";
import type { Authenticator, Principal } from "../../identity/types.ts";
import type { ControlPlane } from "../../link/types.ts";
import type { Call } from "../call.ts";
import { authorize, type DecisionParts } from "../decision.ts";
import type { SeenRequest } from "../gate.ts";

export interface AuditFilesParts extends DecisionParts {
  readonly org: OrgId;
  readonly authenticator: Authenticator;
  readonly parts: AuditParts;
  readonly controlPlane: ControlPlane;
}

const sources: Readonly<Record<string, typeof dataSource>> = { data: dataSource, control: controlSource };
const filePath = /^\/audit\/([a-z]+)\/(.+)$/;
const readFile: RpcRow = {
  plane: "data",
  permission: "audit.read",
  resource: { kind: "organization", at: [] },
  audit: "AUDIT_FILE_READ",
  changes: false,
};

/** Answers where the path is a log's; false where it is not. */
export type AuditFiles = (request: HttpRequest, response: HttpResponse, address: string) => Promise<boolean>;

export function createAuditFiles(options: AuditFilesParts): AuditFiles {
  return async (request, response, address) => {
    const path = (request.url ?? "").split("?")[0]!;
    const [, plane = "", name = ""] = filePath.exec(path) ?? [];
    const open = Object.hasOwn(sources, plane) ? sources[plane] : undefined;
    if (open === undefined) return false;
    const principal = await whoIs(options, request, path, address);
    const { recorded } = await authorize(options, callOf(options.org, path, principal, address));
    const resource = parseLogPath(name);
    const source = open(options.parts, options.controlPlane.index(principal));
    const content = resource === undefined ? undefined : await contentOf(source, resource);
    await recorded;
    if (content === undefined) throw new BiplaneError("not_found", "The log has no such file.");
    const isText = typeof content === "string";
    const type = isText ? "text/plain; charset=utf-8" : "application/octet-stream";
    // A checkpoint is replaced each second; a tile never changes.
    const cache = isText ? "no-store" : "private, max-age=31536000, immutable";
    send(response, 200, { "content-type": type, "cache-control": cache }, content);
    return true;
  };
}

/** A request that shows no good token is on record like any other that was refused. */
async function whoIs(
  { authenticator, audit, org }: AuditFilesParts,
  request: HttpRequest,
  path: string,
  address: string,
): Promise<Principal> {
  try {
    return await authenticator.authenticate(request.headers.authorization, { kind: "public", address });
  } catch (error) {
    await audit.refused(seenAt(org, path, address), error);
    throw error;
  }
}

async function contentOf(
  source: AuditSource,
  resource: LogResource,
): Promise<string | Uint8Array | undefined> {
  if (resource.kind === "checkpoint") {
    const latest = await source.latest();
    return latest === "" ? undefined : latest;
  }
  if (resource.kind === "entries") return source.bundle(resource.index, resource.width);
  const hashes = await source.tile(resource).catch((error: unknown) => {
    if (error instanceof BiplaneError && error.code === "out_of_range") return [];
    throw error;
  });
  return hashes.length === resource.width ? encodeHashes(hashes) : undefined;
}

function seenAt(org: OrgId, path: string, address: string): SeenRequest {
  return {
    method: `GET ${path.slice(0, 200)}`,
    org,
    entrance: { kind: "public", address },
    requestId: randomUUID(),
    clientRequestId: undefined,
    address,
  };
}

function callOf(org: OrgId, path: string, principal: Principal, address: string): Call {
  return { ...seenAt(org, path, address), row: readFile, principal, resource: { org } };
}
