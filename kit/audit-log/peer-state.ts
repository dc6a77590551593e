/** What one plane remembers of the other's log, in one encrypted file that is on disk before anything is countersigned. */
import { BiplaneError } from "@biplane/base";
import { type Key, openRecord, sealRecord } from "../crypto.ts";
import { readFileIfAny, writeFileDurably } from "../files.ts";

/** A checkpoint that was seen. */
export interface Remembered {
  readonly size: number;
  /** Base64. */
  readonly root: string;
  readonly atMs: number;
}

export interface PeerState {
  /** Public keys of the other plane, base64, pinned when they are first seen; empty until then. */
  readonly logKey: string;
  readonly witnessKey: string;
  /** Oldest first; thinned where it grows long, the newest ones stay. */
  readonly history: readonly Remembered[];
  /** Why the other log is not countersigned, until it continues what was seen. */
  readonly alarm: { readonly reason: string; readonly size: number; readonly atMs: number } | undefined;
}

const historyMax = 512;
const place = "audit witness state";

export async function readPeerState(path: string, key: Key): Promise<PeerState | undefined> {
  const sealed = await readFileIfAny(path);
  if (sealed === undefined) return undefined;
  const bytes = openRecord(key, place, new Uint8Array(sealed));
  const state = JSON.parse(Buffer.from(bytes).toString("utf8")) as PeerState;
  if (Array.isArray(state.history)) return state;
  throw new BiplaneError("data_loss", "What is remembered of the other plane's audit log can't be read.");
}

export async function writePeerState(path: string, key: Key, state: PeerState): Promise<void> {
  await writeFileDurably(path, sealRecord(key, place, Buffer.from(JSON.stringify(state), "utf8")));
}

/** Of the older half every second one goes where there are too many: what is far back is remembered more coarsely. */
export function remember(history: readonly Remembered[], next: Remembered): readonly Remembered[] {
  const all = [...history.filter(({ size }) => size !== next.size), next];
  if (all.length <= historyMax) return all;
  return all.filter((_, index) => index >= all.length / 2 || index % 2 === 0);
}
