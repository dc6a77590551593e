/** Objects: written whole or not at all, replaced atomically, read while they are being replaced. */
import { createHash, randomBytes } from "node:crypto";
import { BiplaneError, GiB } from "@biplane/base";
import { isWriteOnceKey } from "@biplane/layout";
import type { Body, ContentTarget } from "./content.ts";
import type { Digests } from "./digests.ts";
import { asDiskFull } from "./disk-space.ts";
import type { Engine } from "./engine.ts";
import { associatedData, type Checksum, type Description, type ObjectEntry } from "./entries.ts";

/** Throws to refuse; called before the body is read and again when the change takes effect. */
export type Condition = (existing: ObjectEntry | undefined) => void;

export interface WriteRequest {
  readonly description: Description;
  /** Where it is known beforehand. */
  readonly sizeBytes?: number;
  readonly condition?: Condition;
  /** For `verify`. Otherwise large content is digested by SHA-256 only where its key is written once. */
  readonly needsSha256?: boolean;
  /** Sees the digests of what came; throws where they are not what the writer promised. */
  readonly verify?: (digests: Digests) => Checksum | undefined;
}

export const keyBytesMax = 1_024;
/** S3's own bound for one PUT. */
export const putBytesMax = 5 * GiB;

export class Objects {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  entry(key: string): ObjectEntry | undefined {
    return this.#engine.catalog.get(key);
  }

  async put(key: string, body: Body, request: WriteRequest): Promise<ObjectEntry> {
    requireKey(key);
    request.condition?.(this.entry(key));
    await this.#engine.disk.require(request.sizeBytes ?? 0);
    const version = randomBytes(16).toString("hex");
    const withSha256 = request.needsSha256 === true || isWriteOnceKey(key);
    const { content, digests } = await this.#write({ key, version, part: 0 }, body, withSha256);
    try {
      const checksum = request.verify?.(digests);
      return await this.commit(
        {
          ...request.description,
          key,
          version,
          sizeBytes: digests.sizeBytes,
          etag: digests.md5.toString("hex"),
          ...(digests.sha256 === undefined ? {} : { sha256: digests.sha256.toString("hex") }),
          ...(checksum === undefined ? {} : { checksum }),
          modifiedAtMs: this.#engine.clock.now(),
          parts: [content],
        },
        { ...(request.condition === undefined ? {} : { condition: request.condition }) },
      );
    } catch (error) {
      if (this.entry(key)?.version !== version) await this.#engine.content.remove(content);
      throw error;
    }
  }

  /** Makes an entry the object of its key. Answers with the existing one where a write-once key has these bytes. */
  commit(entry: ObjectEntry, options: { condition?: Condition; upload?: string }): Promise<ObjectEntry> {
    return this.#engine.locks.run(entry.key, async () => {
      const existing = this.entry(entry.key);
      options.condition?.(existing);
      if (existing !== undefined && isWriteOnceKey(entry.key)) {
        await this.#requireSameBytes(existing, entry);
        if (options.upload !== undefined) {
          await this.#engine.log.append({ kind: "abort", upload: options.upload });
        }
        await this.#engine.discard(entry);
        return existing;
      }
      const { upload } = options;
      await this.#append({ kind: "put", entry, ...(upload === undefined ? {} : { upload }) });
      if (existing !== undefined) await this.#engine.discard(existing);
      return entry;
    });
  }

  /** Deleting what is not there is no error. */
  remove(key: string, condition?: Condition): Promise<void> {
    return this.#engine.locks.run(key, async () => {
      const existing = this.entry(key);
      condition?.(existing);
      if (existing === undefined) return;
      await this.#append({ kind: "delete", key });
      await this.#engine.discard(existing);
    });
  }

  /** Bytes `first` to `last`, inclusive, of the entry as it was when reading began. */
  async *read(entry: ObjectEntry, first = 0, last = entry.sizeBytes - 1): AsyncGenerator<Buffer> {
    this.#engine.retain(entry);
    try {
      let partStart = 0;
      for (const content of entry.parts) {
        const partLast = partStart + content.plainBytes - 1;
        if (partStart > last) return;
        if (partLast >= first) {
          const associated = associatedData(entry.key, entry.version, content.part);
          const from = Math.max(0, first - partStart);
          const to = Math.min(partLast, last) - partStart;
          yield* this.#engine.content.read(content, associated, from, to);
        }
        partStart += content.plainBytes;
      }
    } finally {
      await this.#engine.release(entry);
    }
  }

  async #write(target: ContentTarget, body: Body, withSha256: boolean) {
    try {
      return await this.#engine.content.write(target, body, withSha256);
    } catch (error) {
      throw asDiskFull(error);
    }
  }

  async #append(record: Parameters<Engine["log"]["append"]>[0]): Promise<void> {
    try {
      await this.#engine.log.append(record);
    } catch (error) {
      throw asDiskFull(error);
    }
  }

  /** Rule of state 11. A multipart object's digest is not known until its parts are read together. */
  async #requireSameBytes(existing: ObjectEntry, entry: ObjectEntry): Promise<void> {
    if (existing.sizeBytes === entry.sizeBytes) {
      const [before, now] = [await this.#digest(existing), await this.#digest(entry)];
      if (before === now) return;
    }
    throw writeOnceRefusal();
  }

  async #digest(entry: ObjectEntry): Promise<string> {
    if (entry.sha256 !== undefined) return entry.sha256;
    const hash = createHash("sha256");
    for await (const chunk of this.read(entry)) hash.update(chunk);
    return hash.digest("hex");
  }
}

function requireKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes > 0 && bytes <= keyBytesMax && !key.includes("\0")) return;
  throw new BiplaneError(
    "invalid_argument",
    {
      what: "The object's key can't be used.",
      why: `A key has 1 to ${keyBytesMax} bytes in UTF-8, none of them zero; this one has ${bytes}.`,
      next: "Choose another key.",
    },
    { reason: bytes > keyBytesMax ? "key_too_long" : "invalid_key" },
  );
}

export function alreadyExists(): BiplaneError {
  return new BiplaneError(
    "already_exists",
    { what: "There is an object of this key already.", next: "Use another key." },
    { reason: "object_exists" },
  );
}

function writeOnceRefusal(): BiplaneError {
  return new BiplaneError(
    "already_exists",
    {
      what: "There is an object of this key already, with other bytes.",
      why: "Code bundles, uploads and inputs are written once, so that a run executes what was submitted.",
      next: "Upload the new content under a new key.",
    },
    { reason: "write_once" },
  );
}
