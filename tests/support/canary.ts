/**
 * Canaries: values that appear nowhere by chance, planted as customer data and searched for where customer data must not
 * be (claims CLS-3, CLS-4). All canaries of one run share a random marker, so that one search finds any of them.
 */
import { randomBytes } from "node:crypto";
import { constants, inflateRawSync, inflateSync } from "node:zlib";

export interface Finding {
  /** File, table or memory range. */
  readonly where: string;
  readonly form: string;
  /** The canary's kind, where the form lets it be read. */
  readonly kind: string;
}

export class Canaries {
  /** Letters and digits only, so that escaping for URLs or JSON leaves it as it is, unless everything is escaped. */
  readonly marker = `canary${randomBytes(10).toString("hex")}`;
  readonly #patterns = formsOf(this.marker);

  /** A value to plant; `kind` says what as, in lower-case letters and digits. */
  plant(kind: string): string {
    if (!/^[a-z0-9]{1,20}$/.test(kind)) throw new Error(`${kind} is no kind of canary.`);
    return `${this.marker}x${kind}x`;
  }

  /** Everything that is found in these bytes, in any form, compressed streams included. */
  search(bytes: Buffer, where: string): Finding[] {
    return [...this.#searchPlain(bytes, where), ...this.#searchCompressed(bytes, where)];
  }

  #searchPlain(bytes: Buffer, where: string): Finding[] {
    return this.#patterns.flatMap(({ form, pattern }) => {
      const at = bytes.indexOf(pattern);
      if (at === -1) return [];
      return [{ where: `${where} at byte ${at}`, form, kind: kindAfter(bytes, at + pattern.length, form) }];
    });
  }

  #searchCompressed(bytes: Buffer, where: string): Finding[] {
    return compressedStreams(bytes).flatMap(({ at, text }) =>
      this.#searchPlain(text, `${where} at byte ${at}, inflated`),
    );
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

function kindAfter(bytes: Buffer, at: number, form: string): string {
  if (form !== "plain") return "unknown";
  return /^x([a-z0-9]+)x/.exec(bytes.toString("latin1", at, at + 24))?.[1] ?? "unknown";
}

const inflatedBytesMax = 64 * 1024 * 1024;
const streamsMax = 500;

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
