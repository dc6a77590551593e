/** Encrypted content on disk: small streams in packs, large ones in files of their own. */
import { join } from "node:path";
import { KiB } from "@biplane/base";
import { syncDirectory } from "@biplane/kit";
import type { ScopedKeys } from "../../keys/types.ts";
import { ContentFiles } from "./content-files.ts";
import { readRange } from "./content-reader.ts";
import { type SegmentsTarget, writeSegments } from "./content-writer.ts";
import { Digester, type Digests } from "./digests.ts";
import { associatedData, type Content, type Place } from "./entries.ts";
import { Packs } from "./packs.ts";
import { SealingThreads } from "./sealing.ts";
import { cipherBytes, SegmentSealer } from "./stream-cipher.ts";

/** What a stream belongs to. */
export interface ContentTarget {
  readonly key: string;
  readonly version: string;
  /** 0 where the content comes in one piece. */
  readonly part: number;
}

export interface WrittenContent {
  readonly content: Content;
  readonly digests: Digests;
}

export type Body = Uint8Array | AsyncIterable<Uint8Array>;

export const packedBytesMax = 64 * KiB;

export class ContentStore {
  readonly #folder: string;
  readonly #keys: ScopedKeys;
  readonly #files: ContentFiles;
  readonly #packs: Packs;
  readonly #threads = new SealingThreads();

  constructor(folder: string, keys: ScopedKeys) {
    this.#folder = folder;
    this.#keys = keys;
    this.#files = new ContentFiles(join(folder, "files"));
    this.#packs = new Packs(join(folder, "packs"));
  }

  /** Takes over what the catalog refers to and deletes the rest: it was never acknowledged, or is gone. */
  async start(referred: Iterable<Content>): Promise<void> {
    const files = new Set<string>();
    for (const { place, plainBytes } of referred) {
      if (place.kind === "file") files.add(place.name);
      else this.#packs.adopt(place.pack, cipherBytes(plainBytes));
    }
    await this.#files.start((name) => files.has(name));
    await this.#packs.start();
    // The folders' own names have to survive a power cut, too.
    await syncDirectory(this.#folder);
  }

  /** Durable when it resolves. Parts of uploads always get files, so that packs hold whole objects only. */
  async write(target: ContentTarget, body: Body, withSha256: boolean): Promise<WrittenContent> {
    const { id: keyId, key } = await this.#keys.current(scopeOf(target.key));
    const associated = associatedData(target.key, target.version, target.part);
    const start = await takeStart(body, target.part === 0 ? packedBytesMax : 0);
    const sealing = { key, associated, withSha256 };
    const { place, digests } =
      start.kind === "whole"
        ? await this.#writePacked(sealing, start.bytes)
        : await this.#writeFile(sealing, start.body);
    return { content: { place, plainBytes: digests.sizeBytes, keyId, part: target.part }, digests };
  }

  /** Plaintext of a range; `first` and `last` are inclusive and within the content. */
  async *read(content: Content, associated: string, first: number, last: number): AsyncGenerator<Buffer> {
    const { place, plainBytes } = content;
    const source = { associated, plainBytes, key: () => this.#keys.get(content.keyId) };
    if (place.kind === "pack") {
      const read = (offset: number, buffer: Buffer) =>
        this.#packs.read(place.pack, place.offset + offset, buffer);
      yield* readRange({ ...source, read }, first, last);
      return;
    }
    const file = await this.#files.open(place.name);
    try {
      const read = async (offset: number, buffer: Buffer) => {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
        return buffer.subarray(0, bytesRead);
      };
      yield* readRange({ ...source, read }, first, last);
    } finally {
      await file.close();
    }
  }

  async remove(content: Content): Promise<void> {
    const { place } = content;
    if (place.kind === "file") await this.#files.remove(place.name);
    else await this.#packs.release(place.pack, cipherBytes(content.plainBytes));
  }

  /** Packs that are mostly waste. */
  wastefulPacks(): string[] {
    return this.#packs.wasteful();
  }

  /** Copies a packed stream, as it is encrypted, into the present pack. */
  async repack(content: Content): Promise<Content> {
    if (content.place.kind !== "pack") return content;
    const { pack, offset } = content.place;
    const buffer = Buffer.allocUnsafe(cipherBytes(content.plainBytes));
    const bytes = await this.#packs.read(pack, offset, buffer);
    return { ...content, place: { kind: "pack", ...(await this.#packs.append([bytes])) } };
  }

  async close(): Promise<void> {
    await this.#packs.close();
    await this.#threads.close();
  }

  async #writePacked({ key, associated }: Sealing, bytes: Uint8Array): Promise<Placed> {
    // Of little content a digest costs less than reading it again would, once somebody asks for it.
    const digester = new Digester(true);
    digester.update(bytes);
    const sealer = new SegmentSealer(key, associated);
    const place = await this.#packs.append([sealer.header, ...sealer.seal(bytes, true)]);
    return { place: { kind: "pack", ...place }, digests: digester.finish() };
  }

  async #writeFile(sealing: Sealing, body: AsyncIterable<Uint8Array>): Promise<Placed> {
    const { name, result } = await this.#files.create((file, noteWritten) =>
      writeSegments(this.#threads, { ...sealing, fileDescriptor: file.fd, noteWritten }, body),
    );
    return { place: { kind: "file", name }, digests: result };
  }
}

type Sealing = Omit<SegmentsTarget, "fileDescriptor" | "noteWritten">;

interface Placed {
  readonly place: Place;
  readonly digests: Digests;
}

/** The keys' scope: `<org>/<project>`. */
function scopeOf(objectKey: string): string {
  return objectKey.split("/", 3).slice(0, 2).join("/");
}

type BodyStart =
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  | { readonly kind: "longer"; readonly body: AsyncIterable<Uint8Array> };

/** Reads until it is known whether the body is longer than the limit. */
async function takeStart(body: Body, bytesMax: number): Promise<BodyStart> {
  if (body instanceof Uint8Array) {
    return body.length <= bytesMax
      ? { kind: "whole", bytes: body }
      : { kind: "longer", body: oneChunk(body) };
  }
  if (bytesMax === 0) return { kind: "longer", body };
  const iterator = body[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (length <= bytesMax) {
    const { value, done } = await iterator.next();
    if (done) return { kind: "whole", bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks) };
    chunks.push(value);
    length += value.length;
  }
  return { kind: "longer", body: continued(chunks, iterator) };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* continued(
  chunks: readonly Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
    for (;;) {
      const { value, done } = await iterator.next();
      if (done) return;
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}
