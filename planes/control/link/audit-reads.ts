/** The control plane's audit log, read by the organization that it is about. */

import { encodeHashes, tileLevels, tileWidth } from "@biplane/audit";
import { BiplaneError, MiB } from "@biplane/base";
import type {
  GetAuditLogResponse,
  ReadAuditRecordsRequest,
  ReadAuditTileRequest,
} from "@biplane/control-wire";
import { GetAuditLogResponseSchema } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { AuditLogs } from "../audit/audit.ts";
import type { Principal } from "../policy/principal.ts";

const recordsMax = 1_000;
/** A page stays below what one message of the link may be, whatever its records. */
const pageBytesMax = 2 * MiB;

export async function getAuditLog(
  audit: AuditLogs,
  { org, cluster }: Principal,
): Promise<GetAuditLogResponse> {
  const log = await audit.of(org);
  const { state, isLate } = await audit.witnessOf(org, cluster);
  const { latest } = log;
  return create(GetAuditLogResponseSchema, {
    ...(latest === undefined
      ? {}
      : { size: BigInt(latest.size), rootHash: latest.root, signature: latest.note.signatures[0]!.bytes }),
    logKey: log.signer.publicKey,
    firstIndex: BigInt(log.firstIndex),
    seen: (state?.history ?? []).map(({ size, root, atMs }) => ({
      size: BigInt(size),
      rootHash: new Uint8Array(Buffer.from(root, "base64")),
      seenAt: timestampFromMs(atMs),
    })),
    alarmCode: state?.alarm?.reason ?? "",
    countersignatureLate: isLate,
  });
}

export async function readAuditRecords(
  audit: AuditLogs,
  { org }: Principal,
  { fromIndex, limit }: ReadAuditRecordsRequest,
): Promise<{ firstIndex: bigint; record: Uint8Array[]; logSize: bigint }> {
  const log = await audit.of(org);
  const count = Math.min(recordsMax, Math.max(1, limit));
  const record: Uint8Array[] = [];
  const from = Math.max(Number(fromIndex), log.firstIndex);
  let bytes = 0;
  for await (const one of log.read(from)) {
    bytes += one.record.length;
    if (bytes > pageBytesMax && record.length > 0) break;
    record.push(one.record);
    if (record.length >= count) break;
  }
  return { firstIndex: BigInt(from), record, logSize: BigInt(log.size) };
}

export async function readAuditTile(
  audit: AuditLogs,
  { org }: Principal,
  { level, index }: ReadAuditTileRequest,
): Promise<{ hashes: Uint8Array }> {
  if (level >= tileLevels) throw new BiplaneError("invalid_argument", "A log has no tiles of this level.");
  const log = await audit.of(org);
  return { hashes: encodeHashes(await log.tile({ level, index: Number(index), width: tileWidth })) };
}
