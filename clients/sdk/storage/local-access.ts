/** This machine's disk, for tasks that are called outside of Biplane. */
import { createReadStream, createWriteStream, mkdtempSync } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import type { ObjectAccess, StoredObject } from "./object-access.ts";

export class LocalAccess implements ObjectAccess {
  #prefix: string | undefined;

  get newObjectsPrefix(): string {
    this.#prefix ??= mkdtempSync(join(tmpdir(), "biplane-local-"));
    return this.#prefix;
  }

  read(uri: string): AsyncIterable<Uint8Array> {
    return createReadStream(toPath(uri));
  }

  async write(uri: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    const path = toPath(uri);
    await mkdir(dirname(path), { recursive: true });
    const source = content instanceof Uint8Array ? Readable.from([content]) : Readable.from(content);
    await pipeline(source, createWriteStream(path));
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    const folder = toPath(prefix);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.sort()) {
      yield { uri: path, sizeBytes: (await stat(path)).size };
    }
  }
}

/** A path on this machine, from a `file:` URI or a plain path. */
function toPath(uri: string): string {
  if (uri.startsWith("file:")) return fileURLToPath(uri);
  if (!/^[a-z][a-z0-9+.-]+:/.test(uri)) return uri;
  throw new Error(
    `${uri.split(":")[0]}: objects can be read inside a task only. Run the task on a cluster, or give it a local file.`,
  );
}
