/** All objects and uploads, in memory, objects in the order of S3 (by the bytes of their keys in UTF-8). */

import type { CatalogRecord, Content, ObjectEntry, Upload, UploadedPart } from "./entries.ts";
import { OrderedMap } from "./ordered-map.ts";

export interface UploadState {
  readonly upload: Upload;
  readonly parts: Map<number, UploadedPart>;
}

export class Catalog {
  readonly #objects = new OrderedMap<string, ObjectEntry>(undefined, compareBytes);
  readonly #uploads = new Map<string, UploadState>();

  get objectCount(): number {
    return this.#objects.size;
  }

  get(key: string): ObjectEntry | undefined {
    return this.#objects.get(orderOf(key));
  }

  /** The first object at or after the key (after it, where `exclusive`). */
  next(key: string, exclusive: boolean): ObjectEntry | undefined {
    const order = orderOf(key);
    return (exclusive ? this.#objects.nextHigherPair(order) : this.#objects.getPairOrNextHigher(order))?.[1];
  }

  /** The first object behind everything that begins with the prefix. */
  nextBehind(prefix: string): ObjectEntry | undefined {
    const order = orderOf(prefix);
    const behind = order.slice(0, -1) + String.fromCharCode(order.charCodeAt(order.length - 1) + 1);
    return this.#objects.getPairOrNextHigher(behind)?.[1];
  }

  upload(id: string): UploadState | undefined {
    return this.#uploads.get(id);
  }

  uploads(): IterableIterator<UploadState> {
    return this.#uploads.values();
  }

  apply(record: CatalogRecord): void {
    switch (record.kind) {
      case "put":
        this.#objects.set(orderOf(record.entry.key), record.entry);
        if (record.upload !== undefined) this.#uploads.delete(record.upload);
        return;
      case "delete":
        this.#objects.delete(orderOf(record.key));
        return;
      case "upload":
        this.#uploads.set(record.upload.id, { upload: record.upload, parts: new Map() });
        return;
      case "part":
        // The upload is gone where a snapshot was taken after its end; then the part is of no use.
        this.#uploads.get(record.upload)?.parts.set(record.part.content.part, record.part);
        return;
      case "abort":
        this.#uploads.delete(record.upload);
        return;
    }
  }

  /** Every stream that something refers to. */
  *contents(): Generator<Content> {
    for (const entry of this.#objects.values()) yield* entry.parts;
    for (const { parts } of this.#uploads.values()) for (const part of parts.values()) yield part.content;
  }

  objects(): IterableIterator<ObjectEntry> {
    return this.#objects.values();
  }
}

/** JavaScript orders by UTF-16 units, S3 by UTF-8 bytes; they differ beyond ASCII. One character per byte agrees. */
function orderOf(key: string): string {
  return /^\p{ASCII}*$/u.test(key) ? key : Buffer.from(key, "utf8").toString("latin1");
}

function compareBytes(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
