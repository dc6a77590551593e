/** One object, by reference. Its content is streamed to and from the store that is current, never held whole. */
import { createReadStream, createWriteStream } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { newObjectUri, objectAccess } from "../storage/object-access.ts";
import { temporaryPath } from "../storage/temporary.ts";

export interface FileOptions {
  /** As in `csv`; tells readers how to read it. */
  readonly format?: string;
  /** Stands for the content in cache keys and action names, where the URI changes and the content doesn't. */
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

  /** Stores new content under a name of its own. */
  static async write(
    name: string,
    content: string | Uint8Array | AsyncIterable<Uint8Array>,
    options: FileOptions = {},
  ): Promise<File> {
    const uri = newObjectUri(name);
    await objectAccess().write(uri, typeof content === "string" ? Buffer.from(content) : content);
    return new File(uri, options);
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
