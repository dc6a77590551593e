/** An object store in memory for the executor's tests. Its contract is tested elsewhere, on the real one. */
import { createHash } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import type { ObjectHead, ObjectStore, PutOptions } from "../../objects/types.ts";

export class MemoryObjects implements ObjectStore {
  readonly bucket = "biplane";
  readonly region = "local";
  readonly contents = new Map<string, Uint8Array>();
  /** Set to make every write fail, as a full disk does. */
  failure: BiplaneError | undefined;

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<ObjectHead> {
    if (this.failure !== undefined) throw this.failure;
    if (options?.ifAbsent === true && this.contents.has(key))
      throw new BiplaneError("already_exists", "The key is taken.");
    const bytes = await whole(body);
    this.contents.set(key, bytes);
    return describe(key, bytes);
  }

  async get(key: string) {
    const bytes = this.contents.get(key);
    if (bytes === undefined) return undefined;
    return { head: describe(key, bytes), body: chunks(bytes) };
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    return this.contents.get(key);
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    const bytes = this.contents.get(key);
    return bytes === undefined ? undefined : describe(key, bytes);
  }

  async list(prefix: string): Promise<readonly ObjectHead[]> {
    const keys = [...this.contents.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => describe(key, this.contents.get(key)!));
  }

  async delete(key: string): Promise<void> {
    this.contents.delete(key);
  }
}

function describe(key: string, bytes: Uint8Array): ObjectHead {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const fixed = { modifiedAtMs: 0, contentType: "application/octet-stream", metadata: {} };
  return { key, sizeBytes: bytes.length, etag: `"${sha256.slice(0, 32)}"`, sha256, ...fixed };
}

async function whole(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

async function* chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
