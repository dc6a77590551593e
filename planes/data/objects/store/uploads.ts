/** Multipart uploads: parts are durable one by one; completing one only writes the catalog, no content. */
import { createHash, randomBytes } from "node:crypto";
import { BiplaneError, day, MiB } from "@biplane/base";
import type { UploadState } from "./catalog.ts";
import type { Body } from "./content.ts";
import type { Digests } from "./digests.ts";
import { asDiskFull } from "./disk-space.ts";
import type { Engine } from "./engine.ts";
import type { Checksum, ObjectEntry, Upload, UploadedPart } from "./entries.ts";
import type { Condition, Objects } from "./objects.ts";

export const partNumberMax = 10_000;
export const partBytesMin = 5 * MiB;
/** Uploads nobody completed are given up after this time. */
const abandonedMs = 7 * day;
const uploadsMax = 10_000;

/** A part as the completing client names it. */
export interface NamedPart {
  readonly number: number;
  readonly etag: string;
  readonly checksum?: string;
}

export class Uploads {
  readonly #engine: Engine;
  readonly #objects: Objects;

  constructor(engine: Engine, objects: Objects) {
    this.#engine = engine;
    this.#objects = objects;
  }

  async create(upload: Omit<Upload, "id" | "startedAtMs">): Promise<Upload> {
    await this.abortAbandoned();
    if ([...this.#engine.catalog.uploads()].length >= uploadsMax) throw tooManyUploads();
    const created = { ...upload, id: randomBytes(16).toString("hex"), startedAtMs: this.#engine.clock.now() };
    await this.#engine.log.append({ kind: "upload", upload: created });
    return created;
  }

  /** The upload of this id and key. */
  require(id: string, key: string): UploadState {
    const state = this.#engine.catalog.upload(id);
    if (state !== undefined && state.upload.key === key) return state;
    throw new BiplaneError(
      "not_found",
      {
        what: "The multipart upload does not exist.",
        why: "It was completed or aborted, or its id is another one.",
        next: "Start a new upload.",
      },
      { reason: "no_such_upload" },
    );
  }

  async putPart(
    upload: Upload,
    number: number,
    body: Body,
    options: {
      sizeBytes?: number;
      withSha256: boolean;
      verify: (digests: Digests) => Checksum | undefined;
    },
  ): Promise<UploadedPart> {
    const { key, id } = upload;
    await this.#engine.disk.require(options.sizeBytes ?? 0);
    const target = { key, version: id, part: number };
    const { content, digests } = await this.#engine.content
      .write(target, body, options.withSha256)
      .catch(rethrowFull);
    try {
      const checksum = options.verify(digests);
      const part: UploadedPart = {
        content,
        etag: digests.md5.toString("hex"),
        ...(checksum === undefined ? {} : { checksum }),
        modifiedAtMs: this.#engine.clock.now(),
      };
      await this.#engine.locks.run(id, () => this.#replacePart(upload, part));
      return part;
    } catch (error) {
      await this.#engine.content.remove(content);
      throw error;
    }
  }

  /** Puts the named parts together. Completing again what was completed gives the same answer. */
  complete(
    id: string,
    key: string,
    named: readonly NamedPart[],
    options: {
      condition?: Condition;
      checksum?: (parts: readonly UploadedPart[], upload: Upload) => Checksum | undefined;
    },
  ): Promise<ObjectEntry> {
    return this.#engine.locks.run(id, async () => {
      const existing = this.#objects.entry(key);
      if (existing?.version === id) return existing;
      const { upload, parts } = this.require(id, key);
      const chosen = chooseParts(parts, named);
      const checksum = options.checksum?.(chosen, upload);
      const { condition } = options;
      const entry = await this.#objects.commit(
        {
          key,
          version: id,
          contentType: upload.contentType,
          metadata: upload.metadata,
          headers: upload.headers,
          sizeBytes: chosen.reduce((sum, part) => sum + part.content.plainBytes, 0),
          etag: etagOf(chosen),
          ...(checksum === undefined ? {} : { checksum }),
          modifiedAtMs: this.#engine.clock.now(),
          parts: chosen.map((part) => part.content),
        },
        { upload: id, ...(condition === undefined ? {} : { condition }) },
      );
      const unused = [...parts.values()].filter((part) => !chosen.includes(part));
      await this.#engine.removeContent(unused.map((part) => part.content));
      return entry;
    });
  }

  abort(id: string, key: string): Promise<void> {
    return this.#engine.locks.run(id, async () => {
      const { parts } = this.require(id, key);
      await this.#engine.log.append({ kind: "abort", upload: id });
      await this.#engine.removeContent([...parts.values()].map((part) => part.content));
    });
  }

  async abortAbandoned(): Promise<void> {
    const before = this.#engine.clock.now() - abandonedMs;
    for (const { upload } of [...this.#engine.catalog.uploads()]) {
      if (upload.startedAtMs < before) await this.abort(upload.id, upload.key);
    }
  }

  /** By key, then id. */
  list(prefix: string): Upload[] {
    const found = [...this.#engine.catalog.uploads()].map((state) => state.upload);
    const order = (upload: Upload) => `${upload.key}\0${upload.id}`;
    return found
      .filter((upload) => upload.key.startsWith(prefix))
      .sort((left, right) => (order(left) < order(right) ? -1 : 1));
  }

  async #replacePart(upload: Upload, part: UploadedPart): Promise<void> {
    const { parts } = this.require(upload.id, upload.key);
    const before = parts.get(part.content.part);
    await this.#engine.log.append({ kind: "part", upload: upload.id, part });
    if (before !== undefined) await this.#engine.content.remove(before.content);
  }
}

function chooseParts(parts: ReadonlyMap<number, UploadedPart>, named: readonly NamedPart[]): UploadedPart[] {
  const chosen: UploadedPart[] = [];
  let before = 0;
  for (const { number, etag, checksum } of named) {
    if (number <= before) throw refuseParts("invalid_part_order", "The parts are not in ascending order.");
    before = number;
    const part = parts.get(number);
    const same = part !== undefined && part.etag === etag;
    if (!same || (checksum !== undefined && part.checksum?.value !== checksum)) {
      throw refuseParts("invalid_part", `Part ${number} was not uploaded with this ETag and checksum.`);
    }
    chosen.push(part);
  }
  if (chosen.length === 0) throw refuseParts("malformed", "An upload is completed with at least one part.");
  const small = chosen.slice(0, -1).find((part) => part.content.plainBytes < partBytesMin);
  if (small !== undefined) {
    throw refuseParts(
      "entity_too_small",
      `Part ${small.content.part} is smaller than 5 MiB and not the last.`,
    );
  }
  return chosen;
}

function refuseParts(reason: string, what: string): BiplaneError {
  return new BiplaneError(
    "invalid_argument",
    { what, next: "Upload the part again, or list the parts." },
    { reason },
  );
}

/** S3's way: MD5 over the parts' MD5 digests, and their number. */
function etagOf(parts: readonly UploadedPart[]): string {
  const hash = createHash("md5");
  for (const part of parts) hash.update(Buffer.from(part.etag, "hex"));
  return `${hash.digest("hex")}-${parts.length}`;
}

function tooManyUploads(): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: "There are too many unfinished multipart uploads.",
      why: `At most ${uploadsMax} are kept.`,
      next: "Complete or abort some of them.",
    },
    { reason: "slow_down" },
  );
}

function rethrowFull(error: unknown): never {
  throw asDiskFull(error);
}
