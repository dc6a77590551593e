/**
 * Searches bytes for texts in every form in which a program may keep or send them: plain, UTF-16, hexadecimal, base64 at
 * each alignment, escaped for URLs or JSON; and in compressed streams, which are found by their first bytes and inflated.
 */
import { constants, inflateRawSync, inflateSync } from "node:zlib";

export interface Finding {
  /** File, table or memory range. */
  readonly where: string;
  readonly form: string;
  /** Which text; for canaries what it was planted as, where the form lets that be read. */
  readonly kind: string;
}

export interface Searchable {
  search(bytes: Buffer, where: string): Finding[];
}

export interface Needle {
  readonly name: string;
  readonly text: string;
}

/** Says more about a finding that ends at this byte. */
type Naming = (bytes: Buffer, end: number, form: string) => string;

export class Needles implements Searchable {
  readonly #patterns: readonly (Pattern & { readonly name: string })[];

  constructor(needles: readonly Needle[]) {
    this.#patterns = needles.flatMap(({ name, text }) => formsOf(text).map((form) => ({ name, ...form })));
  }

  search(bytes: Buffer, where: string, naming?: Naming): Finding[] {
    return [
      ...this.#searchPlain(bytes, where, naming),
      ...compressedStreams(bytes).flatMap(({ at, text }) =>
        this.#searchPlain(text, `${where} at byte ${at}, inflated`, naming),
      ),
    ];
  }

  #searchPlain(bytes: Buffer, where: string, naming: Naming | undefined): Finding[] {
    return this.#patterns.flatMap(({ name, form, pattern }) => {
      const at = bytes.indexOf(pattern);
      if (at === -1) return [];
      const kind = naming?.(bytes, at + pattern.length, form) ?? name;
      return [{ where: `${where} at byte ${at}`, form, kind }];
    });
  }
}

interface Pattern {
  readonly form: string;
  readonly pattern: Buffer;
}

/** How a text may look in memory, on disk and on the wire. */
function formsOf(text: string): Pattern[] {
  const plain = Buffer.from(text);
  const hex = plain.toString("hex");
  const each = (write: (code: number) => string) => Buffer.from([...plain].map(write).join(""));
  return [
    { form: "plain", pattern: plain },
    { form: "UTF-16", pattern: Buffer.from(text, "utf16le") },
    { form: "hex", pattern: Buffer.from(hex) },
    { form: "HEX", pattern: Buffer.from(hex.toUpperCase()) },
    { form: "URL-escaped", pattern: each((code) => `%${code.toString(16).toUpperCase()}`) },
    { form: "JSON-escaped", pattern: each((code) => `\\u00${code.toString(16)}`) },
    ...[0, 1, 2].map((offset) => ({ form: `base64, offset ${offset}`, pattern: base64At(plain, offset) })),
  ];
}

/** The characters of base64 that depend on `text` alone when `offset` unknown bytes precede it. */
function base64At(text: Buffer, offset: number): Buffer {
  const encoded = Buffer.concat([Buffer.alloc(offset), text])
    .toString("base64")
    .replace(/=+$/, "");
  const firstWhole = offset === 0 ? 0 : offset + 1;
  const lastWhole = Math.floor(((offset + text.length) * 8) / 6);
  return Buffer.from(encoded.slice(firstWhole, lastWhole));
}

const inflatedBytesMax = 64 * 1024 * 1024;
const streamsMax = 4_000;

/** Tries each place that begins like gzip or zlib; most are chance and fail in the first bytes. */
function compressedStreams(bytes: Buffer): { at: number; text: Buffer }[] {
  const found: { at: number; text: Buffer }[] = [];
  const starts = [
    // gzip without extra fields, its header left out: Node's gunzip refuses a stream that other bytes follow.
    { magic: Buffer.from([0x1f, 0x8b, 0x08, 0x00]), inflate: inflateRawSync, headerBytes: 10 },
    ...[0x01, 0x5e, 0x9c, 0xda].map((level) => ({
      magic: Buffer.from([0x78, level]),
      inflate: inflateSync,
      headerBytes: 0,
    })),
  ];
  for (const { magic, inflate, headerBytes } of starts) {
    let tries = 0;
    for (let at = bytes.indexOf(magic); at !== -1 && tries < streamsMax; at = bytes.indexOf(magic, at + 1)) {
      tries += 1;
      const text = tryInflate(inflate, bytes.subarray(at + headerBytes, at + inflatedBytesMax));
      if (text !== undefined && text.length > 0) found.push({ at, text });
    }
  }
  return found;
}

function tryInflate(inflate: typeof inflateSync, bytes: Buffer): Buffer | undefined {
  try {
    // A stream in memory is followed by other bytes, or cut: what there is of it counts.
    return inflate(bytes, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: inflatedBytesMax });
  } catch {
    return undefined;
  }
}
