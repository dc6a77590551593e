/**
 * The audit logs of both planes as one thing to read: this plane's own from its disk, the control plane's over the link
 * in the reader's name.
 */
import {
  controlLogName,
  decodeHashes,
  encodeBundle,
  formatCheckpoint,
  type Hash,
  noteVerifier,
  type SignedCheckpoint,
  signedCheckpoint,
  type TileRef,
  tileWidth,
} from "@biplane/audit";
import type { OrgId } from "@biplane/base";
import type { GetAuditLogResponse, IndexService } from "@biplane/control-wire";
import type { AuditLog, Remembered, WitnessPeer } from "@biplane/kit/audit-log";
import { sleep } from "@biplane/kit/backoff";
import { fromConnectError } from "@biplane/kit/connect-errors";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";

export interface AuditLogState {
  readonly latest: string;
  readonly countersigned: string;
  readonly logKey: string;
  readonly witnessKey: string;
  readonly firstIndex: number;
  /** What the other plane remembers of this log. */
  readonly seen: readonly Remembered[];
  readonly alarms: readonly string[];
}

export interface AuditEntry {
  readonly index: number;
  readonly record: Uint8Array;
}

export interface AuditSource {
  /** The newest checkpoint, as a signed note; empty before the first. */
  latest(): Promise<string>;
  state(): Promise<AuditLogState>;
  /** What there is when it is asked for; with `follow` it goes on until the signal aborts. */
  entries(fromIndex: number, follow: boolean, signal: AbortSignal): AsyncIterable<AuditEntry>;
  tile(ref: TileRef): Promise<readonly Hash[]>;
  /** Undefined where records of it are not there. */
  bundle(index: number, width: number): Promise<Uint8Array | undefined>;
}

type Index = Client<typeof IndexService>;
const pageRecords = 500;
/** Each look at the control plane's log is on record there: a follower must not be most of what it follows. */
const pollMs = 5_000;

export interface AuditParts {
  readonly org: OrgId;
  readonly own: AuditLog;
  readonly witness: WitnessPeer;
}

/** The data plane's log. What the control plane remembers of it is asked for, where it can be reached. */
export function dataSource({ own, witness }: AuditParts, index: Index): AuditSource {
  return {
    latest: async () => textOf(own.latest),
    state: async () => {
      const remote = await index.getAuditLog({}).catch(() => undefined);
      const seen = (remote?.seen ?? []).map(({ size, rootHash, seenAt }) => ({
        size: Number(size),
        root: Buffer.from(rootHash).toString("base64"),
        atMs: seenAt === undefined ? 0 : timestampMs(seenAt),
      }));
      const alarm = remote?.alarmCode ?? "";
      return {
        latest: textOf(own.latest),
        countersigned: textOf(own.cosigned),
        logKey: own.signer.text,
        witnessKey: witness.otherWitness?.text ?? "",
        firstIndex: own.firstIndex,
        seen,
        alarms: [
          ...(alarm === "" ? [] : [alarm]),
          ...(witness.isLate ? ["countersignature_late"] : []),
          ...(remote === undefined ? ["control_plane_away"] : []),
        ],
      };
    },
    entries: async function* (fromIndex, follow, signal) {
      let next = fromIndex;
      do {
        for await (const entry of own.read(next)) {
          yield entry;
          next = entry.index + 1;
        }
      } while (follow && (await own.waitFor(next, signal)));
    },
    tile: (ref) => own.tile(ref),
    bundle: (at, width) => own.bundle(at, width),
  };
}

/** The control plane's log of the organization; what this plane remembers of it counts, not what it says of itself. */
export function controlSource({ org, own, witness }: AuditParts, index: Index): AuditSource {
  const entries = async function* (fromIndex: number, follow: boolean, signal: AbortSignal) {
    let next = fromIndex;
    let end = follow ? Number.POSITIVE_INFINITY : undefined;
    while (!signal.aborted && next < (end ?? next + 1)) {
      const page = await ask(() => index.readAuditRecords({ fromIndex: BigInt(next), limit: pageRecords }));
      end ??= Number(page.logSize);
      for (const [place, record] of page.record.entries()) {
        const at = Number(page.firstIndex) + place;
        if (at < end) yield { index: at, record };
        next = at + 1;
      }
      if (page.record.length === 0 && !follow) return;
      if (page.record.length < pageRecords && follow) await sleep(pollMs, signal);
    }
  };
  const name = controlLogName(org);
  return {
    latest: async () => latestOf(name, await ask(() => index.getAuditLog({}))),
    state: async () => {
      // Before the log is asked: what is seen of it meanwhile would be more than it said.
      const seen = witness.state?.history ?? [];
      const remote = await ask(() => index.getAuditLog({}));
      const pinned = witness.otherLog?.text;
      const alarm = witness.state?.alarm?.reason;
      return {
        latest: latestOf(name, remote),
        countersigned: "",
        logKey: pinned ?? noteVerifier(name, "log", remote.logKey).text,
        witnessKey: own.witness.text,
        firstIndex: Number(remote.firstIndex),
        seen,
        alarms: [
          ...(alarm === undefined ? [] : [alarm]),
          ...(remote.countersignatureLate ? ["countersignature_late"] : []),
        ],
      };
    },
    entries,
    tile: async ({ level, index: at, width }) => {
      const { hashes } = await ask(() => index.readAuditTile({ level, index: BigInt(at) }));
      return decodeHashes(hashes).slice(0, width);
    },
    bundle: async (at, width) => {
      const records: Uint8Array[] = [];
      const first = at * tileWidth;
      for await (const { index: place, record } of entries(first, false, new AbortController().signal)) {
        if (place !== first + records.length) return undefined;
        records.push(record);
        if (records.length === width) return encodeBundle(records);
      }
      return undefined;
    },
  };
}

function latestOf(origin: string, { size, rootHash, signature }: GetAuditLogResponse): string {
  if (size === undefined) return "";
  return textOf(signedCheckpoint({ origin, size: Number(size), root: rootHash }, signature));
}

async function ask<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw fromConnectError(error);
  }
}

function textOf(checkpoint: SignedCheckpoint | undefined): string {
  return checkpoint === undefined ? "" : formatCheckpoint(checkpoint);
}
