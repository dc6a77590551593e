/**
 * The layout of C2SP tlog-tiles (https://c2sp.org/tlog-tiles): a tree as tiles of 256 hashes, records in bundles of as
 * many, and the paths under which both are served.
 */
import { BiplaneError } from "@biplane/base";
import { type Hash, hashBytes, type NodeReader, rootOfPacked } from "./merkle.ts";

/** Height 8. */
export const tileWidth = 256;
/** Enough for 2^40 records. */
export const tileLevels = 5;

export interface TileRef {
  readonly level: number;
  readonly index: number;
  /** 1 to 256 hashes, or records of a bundle. */
  readonly width: number;
}

/** What one path of a log names; undefined where it names nothing. */
export type LogResource =
  | { readonly kind: "checkpoint" }
  | ({ readonly kind: "tile" } & TileRef)
  | { readonly kind: "entries"; readonly index: number; readonly width: number };

const tilePath = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

export function parseLogPath(path: string): LogResource | undefined {
  if (path === "checkpoint") return { kind: "checkpoint" };
  const match = tilePath.exec(path);
  if (match === null) return undefined;
  const index = Number(match[2]!.replaceAll(/[x/]/g, ""));
  const width = Number(match[3] ?? tileWidth);
  // A number has one form: no needless `x000/`, and no partial tile that is full.
  if (numberPath(index) !== match[2] || (match[3] !== undefined && width >= tileWidth)) return undefined;
  if (match[1] === "entries") return { kind: "entries", index, width };
  const level = Number(match[1]);
  if (String(level) !== match[1] || level >= tileLevels) return undefined;
  return { kind: "tile", level, index, width };
}

export function tilePathOf(level: number | "entries", index: number, width: number): string {
  return `tile/${level}/${numberPath(index)}${width === tileWidth ? "" : `.p/${width}`}`;
}

/** In groups of three digits, all but the last one marked: 1234067 is `x001/x234/067`. */
function numberPath(index: number): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const groups = padded.match(/\d{3}/g) ?? [];
  return groups.map((group, place) => (place === groups.length - 1 ? group : `x${group}`)).join("/");
}

/** How many hashes of a tile, or records of a bundle, a tree of this size has; 0 where it has none. */
export function widthIn(size: number, level: number, index: number): number {
  const hashes = Math.floor(size / tileWidth ** level);
  return Math.max(0, Math.min(tileWidth, hashes - index * tileWidth));
}

/** Reads the nodes of a tree from its tiles; `tile` gives at least as many hashes as the reference's width. */
export function nodesFromTiles(tile: (ref: TileRef) => Promise<readonly Hash[]>): NodeReader {
  return async (height, index) => {
    const level = Math.floor(height / 8);
    const count = 2 ** (height % 8);
    const first = index * count;
    const offset = first % tileWidth;
    const width = offset + count;
    const hashes = await tile({ level, index: Math.floor(first / tileWidth), width });
    const wanted = hashes.slice(offset, width);
    if (wanted.length !== count) throw new BiplaneError("data_loss", "A tile of the log has too few hashes.");
    return rootOfPacked(encodeHashes(wanted));
  };
}

export function encodeHashes(hashes: readonly Hash[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * hashBytes);
  for (const [index, one] of hashes.entries()) bytes.set(one, index * hashBytes);
  return bytes;
}

export function decodeHashes(bytes: Uint8Array): Hash[] {
  if (bytes.length % hashBytes !== 0) throw new BiplaneError("data_loss", "A tile holds a part of a hash.");
  const count = bytes.length / hashBytes;
  return Array.from({ length: count }, (_, index) => bytes.slice(index * hashBytes, (index + 1) * hashBytes));
}

/** Records, each after its length in two bytes. */
export function encodeBundle(records: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(records.reduce((sum, record) => sum + 2 + record.length, 0));
  let offset = 0;
  for (const record of records) {
    bytes[offset] = record.length >> 8;
    bytes[offset + 1] = record.length & 0xff;
    bytes.set(record, offset + 2);
    offset += 2 + record.length;
  }
  return bytes;
}

export function decodeBundle(bytes: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const length = ((bytes[offset] ?? 0) << 8) + (bytes[offset + 1] ?? 0);
    const end = offset + 2 + length;
    if (end > bytes.length) throw new BiplaneError("data_loss", "A bundle ends within a record.");
    records.push(bytes.slice(offset + 2, end));
    offset = end;
  }
  return records;
}
