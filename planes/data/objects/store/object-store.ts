/** The embedded store as the rest of the data plane sees it. */
import { BiplaneError } from "@biplane/base";
import type { ByteRange, ObjectContent, ObjectHead, ObjectStore, PutOptions } from "../types.ts";
import type { Body } from "./content.ts";
import type { Engine } from "./engine.ts";
import type { ObjectEntry } from "./entries.ts";
import { listObjects } from "./listing.ts";
import { alreadyExists, type Objects } from "./objects.ts";

export class EmbeddedObjectStore implements ObjectStore {
  readonly bucket: string;
  readonly region: string;
  readonly #engine: Engine;
  readonly #objects: Objects;

  constructor(place: { bucket: string; region: string }, engine: Engine, objects: Objects) {
    this.bucket = place.bucket;
    this.region = place.region;
    this.#engine = engine;
    this.#objects = objects;
  }

  async put(key: string, body: Body, options: PutOptions = {}): Promise<ObjectHead> {
    const contentType = options.contentType ?? "application/octet-stream";
    const condition = (existing: ObjectEntry | undefined) => {
      if (options.ifAbsent === true && existing !== undefined) throw alreadyExists();
    };
    const description = { contentType, metadata: options.metadata ?? {}, headers: {} };
    return headOf(await this.#objects.put(key, body, { description, condition, needsSha256: true }));
  }

  async get(key: string, range?: ByteRange): Promise<ObjectContent | undefined> {
    const entry = this.#objects.entry(key);
    if (entry === undefined) return undefined;
    const last = Math.min(range?.last ?? entry.sizeBytes - 1, entry.sizeBytes - 1);
    return { head: headOf(entry), body: this.#objects.read(entry, range?.first ?? 0, last) };
  }

  async read(key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    const entry = this.#objects.entry(key);
    if (entry === undefined) return undefined;
    if (entry.sizeBytes > bytesMax) throw tooLarge(entry.sizeBytes, bytesMax);
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#objects.read(entry)) chunks.push(chunk);
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    const entry = this.#objects.entry(key);
    return entry === undefined ? undefined : headOf(entry);
  }

  async list(prefix: string, options: { after?: string; limit: number }): Promise<readonly ObjectHead[]> {
    const after =
      options.after === undefined ? {} : { after: { kind: "key", value: options.after } as const };
    return listObjects(this.#engine.catalog, { prefix, limit: options.limit, ...after }).entries.map(headOf);
  }

  delete(key: string): Promise<void> {
    return this.#objects.remove(key);
  }
}

function headOf(entry: ObjectEntry): ObjectHead {
  const { key, sizeBytes, sha256, modifiedAtMs, contentType, metadata } = entry;
  return { key, sizeBytes, etag: `"${entry.etag}"`, sha256, modifiedAtMs, contentType, metadata };
}

function tooLarge(sizeBytes: number, bytesMax: number): BiplaneError {
  return new BiplaneError("resource_exhausted", {
    what: "The object is too large to be read at once.",
    why: `It has ${sizeBytes} bytes; at most ${bytesMax} are read here.`,
    next: "Download it from the object store instead.",
  });
}
