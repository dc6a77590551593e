/** Digests of content: what an ETag is made of, and what proves that bytes are the same. */
import { createHash, type Hash } from "node:crypto";

export interface Digests {
  readonly sizeBytes: number;
  /** What S3's ETag is made of. */
  readonly md5: Buffer;
  /** Undefined where it was not asked for. */
  readonly sha256: Buffer | undefined;
}

/** Digests of a body as it passes. */
export class Digester {
  readonly #md5: Hash = createHash("md5");
  readonly #sha256: Hash | undefined;
  #sizeBytes = 0;

  constructor(withSha256: boolean) {
    this.#sha256 = withSha256 ? createHash("sha256") : undefined;
  }

  update(bytes: Uint8Array): void {
    this.#md5.update(bytes);
    this.#sha256?.update(bytes);
    this.#sizeBytes += bytes.length;
  }

  finish(): Digests {
    return { sizeBytes: this.#sizeBytes, md5: this.#md5.digest(), sha256: this.#sha256?.digest() };
  }
}
