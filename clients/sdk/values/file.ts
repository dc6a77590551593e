/** One object, by reference. Its content is streamed to and from the store that is current, never held whole. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { newObjectUri, objectAccess } from "../storage/object-access.ts";
import { temporaryPath } from "../storage/temporary.ts";

export interface FileOptions {
  /** As in `csv`; tells readers how to read it. */
  readonly format?: string;
  /**
   * Stands for the content in the names of sub-actions: a parent that runs again and writes the same content elsewhere
   * finds the sub-action that had it as input.
   */
  readonly hash?: string;
}

export class File {
  readonly uri: string;
  readonly format: string;
  readonly hash: string | undefined;

  constructor(uri: string, options: FileOptions = {}) {
    this.uri = uri;
    this.format = options.format ?? "";
    this.hash = options.hash;
  }

  /** Stores new content under a name of its own. Its SHA-256 becomes the file's hash unless another is given. */
  static async write(
    name: string,
    content: string | Uint8Array | AsyncIterable<Uint8Array>,
    options: FileOptions = {},
  ): Promise<File> {
    const uri = newObjectUri(name);
    const sha256 = createHash("sha256");
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    if (bytes instanceof Uint8Array) sha256.update(bytes);
    await objectAccess().write(uri, bytes instanceof Uint8Array ? bytes : hashed(bytes, sha256));
    return new File(uri, { hash: sha256.digest("hex"), ...options });
  }

  /** Stores a copy of a local file. */
  static upload(path: string, options: FileOptions & { name?: string } = {}): Promise<File> {
    return File.write(options.name ?? basename(path), createReadStream(path), options);
  }

  get name(): string {
    return basename(this.uri);
  }

  stream(): AsyncIterable<Uint8Array> {
    return objectAccess().read(this.uri);
  }

  async bytes(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.stream()) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async text(): Promise<string> {
    return Buffer.from(await this.bytes()).toString("utf8");
  }

  /** Copies the content to a local path (a temporary one by default) and resolves to it. */
  async download(path?: string): Promise<string> {
    const target = path ?? (await temporaryPath(this.name));
    await pipeline(Readable.from(this.stream()), createWriteStream(target));
    return target;
  }

  toString(): string {
    return this.uri;
  }

  toJSON(): object {
    return { path: this.uri, name: this.name, format: this.format, hash: this.hash ?? null };
  }
}

async function* hashed(content: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
}
