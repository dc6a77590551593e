/** All objects below a prefix, by reference. */
import { createReadStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { newObjectUri, objectAccess } from "../storage/object-access.ts";
import { temporaryPath } from "../storage/temporary.ts";
import { concurrently } from "../tasks/concurrently.ts";
import { File } from "./file.ts";

const transfersAtOnce = 8;

export class Dir {
  /** Without a slash at its end. */
  readonly uri: string;
  readonly format: string;

  constructor(uri: string, options: { format?: string } = {}) {
    this.uri = uri.replace(/\/+$/, "");
    this.format = options.format ?? "";
  }

  /** Stores copies of all files in a local folder, with their relative paths. */
  static async upload(path: string, options: { name?: string; format?: string } = {}): Promise<Dir> {
    const target = new Dir(newObjectUri(options.name ?? basename(path)), options);
    const access = objectAccess();
    await concurrently(await filesBelow(path), transfersAtOnce, async (file) => {
      const relativePath = relative(path, file).split(sep).join("/");
      await access.write(`${target.uri}/${relativePath}`, createReadStream(file));
    });
    return target;
  }

  get name(): string {
    return basename(this.uri);
  }

  /** The files in it, at any depth, by name. */
  async *files(): AsyncGenerator<File> {
    for await (const object of objectAccess().list(`${this.uri}/`)) yield new File(object.uri);
  }

  /** Copies everything to a local folder (a temporary one by default) and resolves to it. */
  async download(path?: string): Promise<string> {
    const target = path ?? (await temporaryPath(this.name));
    await mkdir(target, { recursive: true });
    const files: File[] = [];
    for await (const file of this.files()) files.push(file);
    await concurrently(files, transfersAtOnce, async (file) => {
      const localPath = join(target, ...this.#pathInside(file));
      await mkdir(dirname(localPath), { recursive: true });
      await file.download(localPath);
    });
    return target;
  }

  /** Refuses names that would lead out of the target folder. */
  #pathInside(file: File): readonly string[] {
    const parts = file.uri.slice(this.uri.length + 1).split("/");
    if (parts.some((part) => part === ".." || part === "" || part.includes("\0"))) {
      throw new Error(`${JSON.stringify(file.uri)} has no usable path inside its directory.`);
    }
    return parts;
  }

  toString(): string {
    return this.uri;
  }

  toJSON(): object {
    return { path: this.uri, name: this.name, format: this.format, hash: null };
  }
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
