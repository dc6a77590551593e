/**
 * How fast contents are sealed and opened on their way to and from the disk, beside the bare cipher of Node: in this
 * thread's processor time, so that what else the machine does changes nothing.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { newKey } from "@biplane/kit";
import {
  plainBytesOf,
  SegmentOpener,
  SegmentSealer,
  segmentPlace,
} from "../planes/data/objects/store/stream-cipher.ts";
import { type BenchRow, ratioRow } from "./types.ts";

const segments = 64;
const rounds = 9;
const ratioMin = 0.8;
const key = newKey();
const place = "bench";

export async function run(): Promise<BenchRow[]> {
  const plain = Array.from({ length: segments }, (_, index) => randomBytes(plainBytesOf(index)));
  const bytes = plain.reduce((sum, one) => sum + one.length, 0);
  const sealed = sealAll(plain);
  const bare = plain.map(sealBare);
  const times = {
    seal: [] as number[],
    bareSeal: [] as number[],
    open: [] as number[],
    bareOpen: [] as number[],
  };
  // In turn, so that a machine that slows down slows all four.
  for (let round = 0; round < rounds; round += 1) {
    times.seal.push(timed(() => sealPieces(plain)));
    times.bareSeal.push(timed(() => plain.map(sealBare)));
    times.open.push(timed(() => openAll(sealed, bytes)));
    times.bareOpen.push(timed(() => bare.map(openBare)));
  }
  const speed = (of: number[]) => bytes / 1_000_000 / (median(of) / 1_000);
  const row = { unit: "MB/s", reference: "node:crypto AES-256-GCM over segments of the same size" };
  return [
    ratioRow(
      { ...row, measure: "seal", value: speed(times.seal), referenceValue: speed(times.bareSeal) },
      { atLeast: ratioMin },
    ),
    ratioRow(
      { ...row, measure: "open", value: speed(times.open), referenceValue: speed(times.bareOpen) },
      { atLeast: ratioMin },
    ),
  ];
}

/** In pieces, as they go to the disk. */
function sealPieces(plain: readonly Buffer[]): { header: Buffer; segments: Buffer[][] } {
  const sealer = new SegmentSealer(key, place);
  const sealed = plain.map((one, index) => sealer.seal(one, index === plain.length - 1));
  return { header: sealer.header, segments: sealed };
}

/** As they come from the disk. */
function sealAll(plain: readonly Buffer[]): { header: Buffer; segments: Buffer[] } {
  const { header, segments: sealed } = sealPieces(plain);
  return { header, segments: sealed.map((pieces) => Buffer.concat(pieces)) };
}

function openAll({ header, segments: sealed }: ReturnType<typeof sealAll>, bytes: number): void {
  const opener = new SegmentOpener(key, header, place, bytes);
  for (const [index, one] of sealed.entries()) {
    if (one.length !== segmentPlace(index, bytes).length) throw new Error("A segment has another length.");
    opener.open(index, one);
  }
}

function sealBare(plain: Buffer): { nonce: Buffer; body: Buffer; tag: Buffer } {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key.reveal(), nonce);
  const body = cipher.update(plain);
  cipher.final();
  return { nonce, body, tag: cipher.getAuthTag() };
}

function openBare({ nonce, body, tag }: ReturnType<typeof sealBare>): void {
  const decipher = createDecipheriv("aes-256-gcm", key.reveal(), nonce);
  decipher.setAuthTag(tag);
  decipher.update(body);
  decipher.final();
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What one of the four leaves behind must not be collected in the time of the next. */
function timed(work: () => unknown): number {
  collect();
  const begun = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(begun);
  return (user + system) / 1_000;
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)]!;
}
