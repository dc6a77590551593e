/** Bundles and inputs out of the store, checked against what was pinned at submission (rule of state 11). */
import { createHash } from "node:crypto";
import { BiplaneError, limits, MiB } from "@biplane/base";
import { projectPrefix, requireOwnLocation } from "@biplane/layout";
import type { ObjectStore } from "../objects/types.ts";
import type { Lease } from "../runs/types.ts";

const cachedBytesMax = 256 * MiB;

export interface Bundle {
  readonly digest: Uint8Array;
  readonly bytes: Uint8Array;
}

export class ContentLoader {
  readonly #objects: ObjectStore;
  /** By URI and pin, least recently used first. */
  readonly #bundles = new Map<string, Bundle>();
  #cachedBytes = 0;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  /** Throws `bundle_missing` or `bundle_changed`. */
  async bundle(lease: Lease, uri: string | undefined): Promise<Bundle> {
    if (uri === undefined) throw missing("bundle_missing", "The task names no code bundle.");
    const pin = lease.pins.find((one) => one.uri === uri)?.sha256;
    const cacheKey = `${uri} ${pin ?? ""}`;
    const cached = this.#bundles.get(cacheKey);
    if (cached !== undefined) {
      this.#bundles.delete(cacheKey);
      this.#bundles.set(cacheKey, cached);
      return cached;
    }
    const bundle = await this.#loadBundle(lease, uri, pin);
    this.#keep(cacheKey, bundle);
    return bundle;
  }

  /** `flyteidl2.task.Inputs` in bytes. Throws `inputs_missing` or `inputs_changed`. */
  async inputs(lease: Lease, key: string): Promise<Uint8Array> {
    const bytes = await this.#objects.read(key, limits.readBytesMax);
    if (bytes === undefined)
      throw missing("inputs_missing", "The action's inputs are not in the store any more.");
    const pin = lease.pins.find((one) => one.uri === lease.record.inputUri)?.sha256;
    if (pin !== undefined && pin !== sha256(bytes).toString("hex"))
      throw changed("inputs_changed", "The action's inputs");
    return bytes;
  }

  async #loadBundle(lease: Lease, uri: string, pin: string | undefined): Promise<Bundle> {
    const { key } = requireOwnLocation(uri, this.#objects.bucket, projectPrefix(lease));
    const bytes = await this.#objects.read(key, limits.bundleBytesMax);
    if (bytes === undefined) throw missing("bundle_missing", "The task's code bundle is not in the store.");
    const digest = sha256(bytes);
    if (pin !== undefined && pin !== digest.toString("hex"))
      throw changed("bundle_changed", "The task's code bundle");
    return { bytes, digest };
  }

  #keep(cacheKey: string, bundle: Bundle): void {
    this.#bundles.set(cacheKey, bundle);
    this.#cachedBytes += bundle.bytes.length;
    for (const [oldest, { bytes }] of this.#bundles) {
      if (this.#cachedBytes <= cachedBytesMax) return;
      this.#bundles.delete(oldest);
      this.#cachedBytes -= bytes.length;
    }
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function missing(reason: string, what: string): BiplaneError {
  const next = "Upload it again with `biplane run` or `biplane deploy`.";
  return new BiplaneError(
    "failed_precondition",
    { what, why: "It was deleted or never uploaded.", next },
    { reason },
  );
}

function changed(reason: string, what: string): BiplaneError {
  const text = {
    what: `${what} changed since submission.`,
    why: "Its SHA-256 is not the one that was pinned.",
  };
  return new BiplaneError("failed_precondition", { ...text, next: "Submit the run again." }, { reason });
}
