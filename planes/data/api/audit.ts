/** Reading the audit logs of both planes (claims AUD-2, AUD-3, AUD-4). */
import {
  type AuditFilter,
  decodeAuditRecord,
  encodeHashes,
  matchesFilter,
  tileLevels,
  tileWidth,
} from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import { audit } from "@biplane/data-wire";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type AuditSource, controlSource, dataSource } from "../audit/sources.ts";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import type { ApiParts } from "./parts.ts";

export function auditService(parts: ApiParts) {
  const sourceOf = (plane: audit.AuditPlane, context: HandlerContext): AuditSource => {
    const index = parts.controlPlane.index(authorizedCall(context).principal);
    if (plane === audit.AuditPlane.DATA) return dataSource(parts.audit, index);
    if (plane === audit.AuditPlane.CONTROL) return controlSource(parts.audit, index);
    throw new BiplaneError("invalid_argument", "Say which plane's log is meant: data or control.");
  };
  return serve(audit.AuditService, {
    getLog: async ({ plane }, context) => {
      const state = await sourceOf(plane, context).state();
      return {
        ...state,
        firstIndex: BigInt(state.firstIndex),
        alarms: [...state.alarms],
        seen: state.seen.map(({ size, root, atMs }) => ({
          size: BigInt(size),
          rootHash: new Uint8Array(Buffer.from(root, "base64")),
          seenAt: timestampFromMs(atMs),
        })),
      };
    },
    async *readRecords(request, context) {
      const source = sourceOf(request.plane, context);
      const filter = filterOf(request);
      const isOpen = Object.keys(filter).length === 0;
      const from = Number(request.fromIndex);
      for await (const { index, record } of source.entries(from, request.follow, context.signal)) {
        // Unread where everything is wanted: who checks a log wants to see what can't be understood as well.
        if (isOpen || matchesFilter(decodeAuditRecord(record), filter))
          yield { index: BigInt(index), record };
      }
    },
    readTile: async ({ plane, level, index }, context) => {
      if (level >= tileLevels)
        throw new BiplaneError("invalid_argument", "A log has no tiles of this level.");
      const tile = await sourceOf(plane, context).tile({ level, index: Number(index), width: tileWidth });
      return { hashes: encodeHashes(tile) };
    },
  });
}

function filterOf(request: audit.ReadRecordsRequest): AuditFilter {
  const { since, until, subject, project, domain, run, codes, decisions } = request;
  return {
    ...(since === undefined ? {} : { sinceMs: timestampMs(since) }),
    ...(until === undefined ? {} : { untilMs: timestampMs(until) }),
    ...(subject === "" ? {} : { subject }),
    ...(project === "" ? {} : { project }),
    ...(domain === "" ? {} : { domain }),
    ...(run === "" ? {} : { run }),
    ...(codes.length === 0 ? {} : { codes }),
    ...(decisions.length === 0 ? {} : { decisions }),
  };
}
