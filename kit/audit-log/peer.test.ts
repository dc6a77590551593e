/** Two logs as each other's witness: what is countersigned, and what is refused and alarmed (claims AUD-3, TRUST-4). */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeAuditRecord, formatCheckpoint, isSignedBy, verifyLog } from "@biplane/audit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newKey } from "../crypto.ts";
import { fill, openTestLog, quiet, underCheck } from "./log.testing.ts";
import type { AuditLog } from "./log.ts";
import { type CheckpointMessage, openWitnessPeer, type WitnessPeer } from "./peer.ts";

const names = { data: "acme.data.biplane/home", control: "acme.control.biplane" };
const keys = { data: newKey(), control: newKey() };
let root: string;
let nowMs: number;
const closing: (() => Promise<void>)[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "biplane-witness-"));
  nowMs = 1_700_000_000_000;
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close().catch(() => undefined);
  rmSync(root, { recursive: true, force: true });
});

interface Side {
  readonly log: AuditLog;
  readonly peer: WitnessPeer;
  close(): Promise<void>;
}

async function side(name: "data" | "control", folder: string = name): Promise<Side> {
  const log = await openTestLog(join(root, folder), keys[name], {
    origin: names[name],
    place: { plane: name, org: "acme" },
    checkpointMs: 3_600_000,
  });
  const peer = await openWitnessPeer({
    own: log,
    otherName: name === "data" ? names.control : names.data,
    path: join(root, folder, "witness.sealed"),
    key: keys[name],
    clock: { now: () => nowMs },
    log: quiet,
  });
  const close = async () => {
    await peer.close();
    await log.close();
  };
  closing.push(close);
  return { log, peer, close };
}

/** Carries the next checkpoint over, and the answer back. */
async function exchange(
  from: Side,
  to: Side,
  change: (message: CheckpointMessage) => CheckpointMessage = (m) => m,
) {
  const ending = new AbortController();
  const messages = from.peer.messages(ending.signal);
  for (;;) {
    const { value } = await messages.next();
    if (value === undefined) throw new Error("The other side had nothing to send.");
    const answer = await to.peer.observe(change(value));
    await from.peer.answered(answer);
    if (answer.outcome === 2) continue;
    ending.abort();
    await messages.return(undefined);
    return answer.outcome;
  }
}

async function codes(log: AuditLog): Promise<string[]> {
  const all: string[] = [];
  for await (const { record } of log.read()) all.push(decodeAuditRecord(record).code);
  return all;
}

async function grow({ log }: Side, count: number, label?: string): Promise<void> {
  await fill(log, count, label);
  await log.checkpoint();
}

test("each checkpoint that continues the last one is countersigned, and the log verifies with it", async () => {
  const [data, control] = [await side("data"), await side("control")];
  for (const count of [3, 300, 1]) {
    await grow(data, count);
    expect(await exchange(data, control)).toBe(1);
  }
  const witness = data.peer.otherWitness!;
  expect(isSignedBy(data.log.cosigned!, witness)).toBe(true);
  expect(data.log.cosigned!.size).toBe(304);
  const seen = control.peer.state!.history.map(({ size, root }) => ({
    size,
    root: new Uint8Array(Buffer.from(root, "base64")),
    by: "the control plane",
  }));
  expect(seen.map(({ size }) => size)).toEqual([3, 303, 304]);
  const verdict = await verifyLog({ ...underCheck(data.log, seen), witnessKey: witness });
  expect(verdict).toMatchObject({ size: 304, countersignedSize: 304, problem: undefined });
  const other = { ...underCheck(data.log), witnessKey: control.log.signer };
  expect((await verifyLog(other)).problem?.what).toContain("countersignature");
});

test("it goes on after both sides were restarted, also where the last answer was lost", async () => {
  let [data, control] = [await side("data"), await side("control")];
  await grow(data, 3);
  expect(await exchange(data, control)).toBe(1);
  await grow(data, 2);
  const messages = data.peer.messages(AbortSignal.timeout(5_000));
  await control.peer.observe((await messages.next()).value!);
  await data.close();
  await control.close();
  [data, control] = [await side("data"), await side("control")];
  await grow(data, 1);
  expect(await exchange(data, control)).toBe(1);
  expect(control.peer.state?.history.at(-1)?.size).toBe(6);
  expect(control.peer.state?.alarm).toBeUndefined();
});

test.each(["data", "control"] as const)(
  "a fork of the %s plane's log is refused and alarmed on both sides",
  async (name) => {
    const other = name === "data" ? "control" : "data";
    let liar = await side(name);
    const witness = await side(other);
    await grow(liar, 3);
    await exchange(liar, witness);
    await liar.close();
    cpSync(join(root, name), join(root, "fork"), { recursive: true });
    liar = await side(name);
    await grow(liar, 2);
    expect(await exchange(liar, witness)).toBe(1);
    await liar.close();
    const fork = await side(name, "fork");
    await grow(fork, 4, "another past");
    expect(await exchange(fork, witness)).toBe(3);
    expect(witness.peer.state?.alarm).toMatchObject({ reason: "forked", size: 7 });
    expect(await codes(witness.log)).toEqual(["WITNESS_REFUSED"]);
    expect(await codes(fork.log)).toContain("COUNTERSIGNATURE_REFUSED");
    expect(fork.log.cosigned?.size).toBe(3);
  },
);

test("a restored log that somebody stands for begins again, which is on record; another past of it does not (claim TRUST-4)", async () => {
  const [first, control] = [await side("data"), await side("control")];
  await grow(first, 3);
  await exchange(first, control);
  await expect(control.peer.acceptRestore()).rejects.toMatchObject({ code: "failed_precondition" });
  await first.close();
  cpSync(join(root, "data"), join(root, "backup"), { recursive: true });
  const later = await side("data");
  await grow(later, 5);
  await exchange(later, control);
  const restored = await side("data", "backup");
  await grow(restored, 1);
  expect(await exchange(restored, control)).toBe(3);
  const accepted = await control.peer.acceptRestore();
  expect(accepted).toMatchObject({ reason: "rolled_back", rememberedSize: later.log.size });
  expect(await codes(control.log)).toEqual(["WITNESS_REFUSED", "WITNESS_RESTORE_ACCEPTED"]);
  await grow(restored, 1);
  expect(await exchange(restored, control)).toBe(1);
  expect(control.peer.state?.alarm).toBeUndefined();
  // Control: from there on it is held to what was seen, as before.
  await grow(later, 9);
  expect(await exchange(later, control)).toBe(3);
});

test("a rolled back log is refused until it is what was seen", async () => {
  const [first, control] = [await side("data"), await side("control")];
  await grow(first, 3);
  await first.close();
  cpSync(join(root, "data"), join(root, "backup"), { recursive: true });
  const later = await side("data");
  await grow(later, 5);
  await exchange(later, control);
  const restored = await side("data", "backup");
  await grow(restored, 1);
  expect(await exchange(restored, control)).toBe(3);
  expect(control.peer.state?.alarm?.reason).toBe("rolled_back");
  await grow(later, 1);
  expect(await exchange(later, control)).toBe(1);
  expect(control.peer.state?.alarm).toBeUndefined();
});

test.each([
  ["a changed root", (m: CheckpointMessage) => ({ ...m, rootHash: new Uint8Array(32) })],
  ["another log's key", (m: CheckpointMessage) => ({ ...m, logKey: new Uint8Array(32) })],
  ["a shortened proof", (m: CheckpointMessage) => ({ ...m, proofHash: m.proofHash.slice(1) })],
  ["an endless proof", (m: CheckpointMessage) => ({ ...m, proofHash: Array(129).fill(new Uint8Array(32)) })],
])("%s is not countersigned", async (_, change) => {
  const [data, control] = [await side("data"), await side("control")];
  await grow(data, 3);
  await exchange(data, control);
  await grow(data, 3);
  expect(await exchange(data, control, change)).toBe(3);
  expect(data.log.cosigned?.size).toBe(3);
});

test("what the witness answers is not believed without its signature", async () => {
  const [data, control] = [await side("data"), await side("control")];
  await grow(data, 3);
  const messages = data.peer.messages(AbortSignal.timeout(5_000));
  const answer = await control.peer.observe((await messages.next()).value!);
  await data.peer.answered({ ...answer, signature: answer.signature.map((byte) => byte ^ 1) });
  expect(data.log.cosigned).toBeUndefined();
  expect(await codes(data.log)).toContain("COUNTERSIGNATURE_REFUSED");
});

test("a checkpoint that was countersigned is served with both signatures", async () => {
  const [data, control] = [await side("data"), await side("control")];
  await grow(data, 3);
  await exchange(data, control);
  expect(formatCheckpoint(data.log.latest!).match(/^— /gm)).toHaveLength(2);
});
