/**
 * Two planes as each other's witness (C2SP tlog-witness, over the link in place of HTTP): a checkpoint goes to the other
 * side with the proof that it continues the last one seen there; the other side checks, remembers durably, and only
 * then countersigns. A log that was forked or rolled back is refused and alarmed. A missing countersignature alarms
 * after a while; it never holds anything up (claims AUD-3, TRUST-4).
 */
import {
  type AuditCode,
  type Checkpoint,
  cosignCheckpoint,
  type Hash,
  hashBytes,
  isConsistent,
  isSignedBy,
  type NoteVerifier,
  noteVerifier,
  type SignedCheckpoint,
  sameHash,
  signedCheckpoint,
  witnessNameOf,
} from "@biplane/audit";
import { BiplaneError, minute, second } from "@biplane/base";
import type { Clock } from "../clock.ts";
import type { Key } from "../crypto.ts";
import type { Logger } from "../logging.ts";
import { type AuditLog, eventOf } from "./log.ts";
import { type PeerState, readPeerState, remember, writePeerState } from "./peer-state.ts";

/** A checkpoint on its way to the witness, as the link carries it. */
export interface CheckpointMessage {
  readonly size: bigint;
  readonly rootHash: Hash;
  /** Key id and signature, as in the note. */
  readonly signature: Uint8Array;
  /** Size of the last checkpoint that the witness is believed to have seen; the proof begins there. */
  readonly oldSize: bigint;
  readonly proofHash: readonly Hash[];
  readonly logKey: Uint8Array;
  readonly witnessKey: Uint8Array;
}

/** The link's numbers. `conflict`: what the witness saw last has another size; prove from there. */
export const countersignOutcomes = { signed: 1, conflict: 2, refused: 3 } as const;

export interface CountersignatureMessage {
  readonly size: bigint;
  readonly outcome: number;
  readonly signature: Uint8Array;
  readonly rememberedSize: bigint;
  readonly witnessKey: Uint8Array;
}

export interface AcceptedRestore {
  /** Name of the other plane's log. */
  readonly log: string;
  /** Why it had been refused. */
  readonly reason: string;
  /** How far it had been seen: what lies between is vouched for by nobody any more. */
  readonly rememberedSize: number;
}

/** What a connection needs of its witness. */
export type WitnessPort = Pick<WitnessPeer, "messages" | "answered" | "observe">;

export interface WitnessPeerOptions {
  /** This plane's log, which the other one witnesses. */
  readonly own: AuditLog;
  /** What the other plane's log is called. */
  readonly otherName: string;
  /** Of the file with what is remembered. */
  readonly path: string;
  readonly key: Key;
  readonly clock: Clock;
  readonly log: Logger;
  readonly lateMs?: number;
}

/** Longer than any log can have: 64 levels, two hashes each. */
const proofHashesMax = 128;
const lateMsDefault = minute;
const watchMs = 5 * second;

export async function openWitnessPeer(options: WitnessPeerOptions): Promise<WitnessPeer> {
  return new WitnessPeer(options, await readPeerState(options.path, options.key));
}

export class WitnessPeer {
  readonly #options: WitnessPeerOptions;
  readonly #timer: NodeJS.Timeout;
  #state: PeerState | undefined;
  /** Size that the other side has countersigned of this plane's log. */
  #countersigned: number;
  #answer: PromiseWithResolvers<void> | undefined;
  /** Since when something of this log has been waiting for its countersignature. */
  #waitingSinceMs: number | undefined;
  #isLate = false;
  #hadConflict = false;
  #refusedSize: number | undefined;
  /** One checkpoint of the other log after another: each is checked against the one before. */
  #observing: Promise<unknown> = Promise.resolve();

  /** Use `openWitnessPeer`. */
  constructor(options: WitnessPeerOptions, state: PeerState | undefined) {
    this.#options = options;
    this.#state = state;
    this.#countersigned = options.own.cosigned?.size ?? 0;
    this.#timer = setInterval(() => void this.#watch(), watchMs);
    this.#timer.unref();
  }

  /** What is remembered of the other plane's log. */
  get state(): PeerState | undefined {
    return this.#state;
  }

  get isLate(): boolean {
    return this.#isLate;
  }

  get otherLog(): NoteVerifier | undefined {
    return this.#verifier("log");
  }

  get otherWitness(): NoteVerifier | undefined {
    return this.#verifier("witness");
  }

  /** What to send over one connection, until it ends: at most one checkpoint at a time is under way. */
  async *messages(signal: AbortSignal): AsyncGenerator<CheckpointMessage> {
    while (!signal.aborted) {
      const { own } = this.#options;
      const { latest } = own;
      const isDue = latest !== undefined && latest.size > this.#countersigned;
      if (!isDue || latest.size === this.#refusedSize) {
        await nextCheckpoint(own, signal);
        continue;
      }
      this.#answer = Promise.withResolvers<void>();
      yield await this.#messageOf(latest);
      await settled(this.#answer.promise, signal);
    }
  }

  /** The other side's answer to a checkpoint. */
  async answered(message: CountersignatureMessage): Promise<void> {
    const { own } = this.#options;
    const { latest } = own;
    if (message.outcome === countersignOutcomes.signed) {
      if (latest?.size === Number(message.size)) await this.#countersign(latest, message);
    } else if (message.outcome === countersignOutcomes.refused) {
      await this.#refused(message);
    } else {
      // Twice in a row would go on for ever: the next checkpoint tries again.
      if (this.#hadConflict) this.#refusedSize = latest?.size;
      this.#countersigned = Math.min(Number(message.rememberedSize), own.size);
    }
    this.#hadConflict = message.outcome === countersignOutcomes.conflict;
    this.#answer?.resolve();
  }

  /** Checks a checkpoint of the other log; countersigns it once it is remembered. */
  observe(message: CheckpointMessage): Promise<CountersignatureMessage> {
    const observed = this.#observing.then(() => this.#observe(message));
    this.#observing = observed.catch(() => undefined);
    return observed;
  }

  /**
   * The other plane was restored from a backup, and somebody stands for it: what was remembered of its log is gone, and
   * its next checkpoint is believed as a first one. On record before it counts. Throws where nothing is refused.
   */
  acceptRestore(): Promise<AcceptedRestore> {
    const accepted = this.#observing.then(() => this.#acceptRestore());
    this.#observing = accepted.catch(() => undefined);
    return accepted;
  }

  async #acceptRestore(): Promise<AcceptedRestore> {
    const { own, path, key, otherName } = this.#options;
    const state = this.#state;
    if (state?.alarm === undefined) throw nothingRefused(otherName);
    const { reason } = state.alarm;
    const rememberedSize = state.history.at(-1)?.size ?? 0;
    const subject = "operator";
    await own.record(
      eventOf("WITNESS_RESTORE_ACCEPTED", { decision: "allowed", subject, reason, count: rememberedSize }),
    );
    // A log that was restored is signed by the same keys; other ones are accepted where they were the reason alone.
    const keys = reason === "other_key" ? { logKey: "", witnessKey: "" } : state;
    const { logKey, witnessKey } = keys;
    this.#state = { logKey, witnessKey, history: [], alarm: undefined };
    await writePeerState(path, key, this.#state);
    return { log: otherName, reason, rememberedSize };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#answer?.resolve();
  }

  async #messageOf(latest: SignedCheckpoint): Promise<CheckpointMessage> {
    const { own } = this.#options;
    const oldSize = Math.min(this.#countersigned, latest.size);
    return {
      size: BigInt(latest.size),
      rootHash: latest.root,
      signature: latest.note.signatures[0]!.bytes,
      oldSize: BigInt(oldSize),
      proofHash: await own.consistencyProof(oldSize, latest),
      logKey: own.signer.publicKey,
      witnessKey: own.witness.publicKey,
    };
  }

  async #countersign(latest: SignedCheckpoint, message: CountersignatureMessage): Promise<void> {
    const { own, clock } = this.#options;
    const by = await this.#pinWitness(message.witnessKey);
    if (by === undefined || !own.countersign(latest, by, { name: by.name, bytes: message.signature })) {
      this.#refusedSize = latest.size;
      return this.#alarm("COUNTERSIGNATURE_REFUSED", "bad_signature", latest.size);
    }
    this.#countersigned = latest.size;
    this.#refusedSize = undefined;
    this.#waitingSinceMs = own.size > latest.size ? clock.now() : undefined;
    if (!this.#isLate) return;
    this.#isLate = false;
    await own.record(eventOf("WITNESS_RESUMED"));
  }

  /** The first one is believed, as the link's certificates vouch for it; every other one has to be the same. */
  async #pinWitness(key: Uint8Array): Promise<NoteVerifier | undefined> {
    const { path, key: stateKey } = this.#options;
    const state = this.#state ?? { logKey: "", witnessKey: "", history: [], alarm: undefined };
    if (state.witnessKey === "" && key.length === hashBytes) {
      this.#state = { ...state, witnessKey: base64(key) };
      await writePeerState(path, stateKey, this.#state);
    }
    return this.#state?.witnessKey === base64(key) ? this.otherWitness : undefined;
  }

  async #refused({ size, rememberedSize }: CountersignatureMessage): Promise<void> {
    const isNew = this.#refusedSize === undefined;
    this.#refusedSize = Number(size);
    if (isNew) await this.#alarm("COUNTERSIGNATURE_REFUSED", `remembers_${rememberedSize}`, Number(size));
  }

  async #observe(message: CheckpointMessage): Promise<CountersignatureMessage> {
    const { own, clock, path, key } = this.#options;
    const last = this.#state?.history.at(-1);
    const rememberedSize = last?.size ?? 0;
    const answer = {
      size: message.size,
      signature: new Uint8Array(0),
      rememberedSize: BigInt(rememberedSize),
      witnessKey: own.witness.publicKey,
    };
    const found = this.#check(message);
    if (found.kind === "refused") {
      await this.#refuse(found.reason, message);
      return { ...answer, outcome: countersignOutcomes.refused };
    }
    if (found.kind === "conflict") return { ...answer, outcome: countersignOutcomes.conflict };
    const atMs = clock.now();
    const seen = { size: Number(message.size), root: base64(message.rootHash), atMs };
    const keys = { logKey: base64(message.logKey), witnessKey: base64(message.witnessKey) };
    const state = { ...keys, history: remember(this.#state?.history ?? [], seen), alarm: undefined };
    await writePeerState(path, key, state);
    this.#state = state;
    const { bytes } = cosignCheckpoint(found.checkpoint, own.witness, Math.floor(atMs / second));
    return { ...answer, outcome: countersignOutcomes.signed, signature: bytes };
  }

  #check(
    message: CheckpointMessage,
  ):
    | { readonly kind: "good"; readonly checkpoint: SignedCheckpoint }
    | { readonly kind: "conflict" }
    | { readonly kind: "refused"; readonly reason: string } {
    const refused = (reason: string) => ({ kind: "refused", reason }) as const;
    const { rootHash: root, proofHash: proof } = message;
    const [size, oldSize] = [Number(message.size), Number(message.oldSize)];
    if (proof.length > proofHashesMax || root.length !== hashBytes || message.logKey.length !== hashBytes)
      return refused("bad_message");
    if (!this.#isPinned(message)) return refused("other_key");
    const verifier = noteVerifier(this.#options.otherName, "log", message.logKey);
    const checkpoint = signedCheckpoint({ origin: verifier.name, size, root }, message.signature);
    if (!isSignedBy(checkpoint, verifier)) return refused("bad_signature");
    const last = this.#remembered();
    if (last === undefined) return { kind: "good", checkpoint };
    if (size < last.size) return refused("rolled_back");
    if (size === last.size)
      return sameHash(root, last.root) ? { kind: "good", checkpoint } : refused("forked");
    if (oldSize !== last.size) return { kind: "conflict" };
    return isConsistent(last, checkpoint, proof) ? { kind: "good", checkpoint } : refused("forked");
  }

  #isPinned({ logKey, witnessKey }: CheckpointMessage): boolean {
    const { logKey: log = "", witnessKey: witness = "" } = this.#state ?? {};
    return (log === "" || log === base64(logKey)) && (witness === "" || witness === base64(witnessKey));
  }

  #remembered(): Omit<Checkpoint, "origin"> | undefined {
    const last = this.#state?.history.at(-1);
    if (last === undefined) return undefined;
    return { size: last.size, root: new Uint8Array(Buffer.from(last.root, "base64")) };
  }

  /** Told once for each reason, not once a second. */
  async #refuse(reason: string, { size }: CheckpointMessage): Promise<void> {
    const state = this.#state;
    if (state === undefined || state.alarm?.reason === reason) return;
    const alarm = { reason, size: Number(size), atMs: this.#options.clock.now() };
    this.#state = { ...state, alarm };
    await writePeerState(this.#options.path, this.#options.key, this.#state);
    await this.#alarm("WITNESS_REFUSED", reason, Number(size));
  }

  async #watch(): Promise<void> {
    const { own, clock, lateMs } = this.#options;
    if (own.size <= this.#countersigned) this.#waitingSinceMs = undefined;
    else this.#waitingSinceMs ??= clock.now();
    const since = this.#waitingSinceMs;
    if (this.#isLate || since === undefined || clock.now() - since < (lateMs ?? lateMsDefault)) return;
    this.#isLate = true;
    await this.#alarm("WITNESS_LATE", "no_countersignature", own.size);
  }

  async #alarm(code: AuditCode, reason: string, size: number): Promise<void> {
    const { own, log, otherName } = this.#options;
    log.warn({ event: code.toLowerCase(), reason, size, otherName }, "the planes' audit logs don't agree");
    await own.record(eventOf(code, { reason, count: size })).catch((error: unknown) => {
      log.error({ event: "audit_failed", error }, "an alarm of the audit log could not be recorded");
    });
  }

  #verifier(kind: "log" | "witness"): NoteVerifier | undefined {
    const { otherName } = this.#options;
    const { logKey = "", witnessKey = "" } = this.#state ?? {};
    const [name, key] = kind === "log" ? [otherName, logKey] : [witnessNameOf(otherName), witnessKey];
    if (key === "") return undefined;
    return noteVerifier(name, kind, new Uint8Array(Buffer.from(key, "base64")));
  }
}

function nothingRefused(log: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `The log ${log} is not refused.`,
    why: "There is no restore to accept: it continues what was seen of it.",
    next: "Check both logs with `biplane audit verify`.",
  });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function nextCheckpoint(own: AuditLog, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stop();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const stop = own.onCheckpoint(done);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}

async function settled(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<void>();
  const end = () => aborted.resolve();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  await Promise.race([promise, aborted.promise]);
  signal.removeEventListener("abort", end);
}
