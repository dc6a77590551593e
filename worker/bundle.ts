/** Unpacks a code bundle and imports its `main.mjs`, once per digest. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { BiplaneError, GiB, ownBytes } from "@biplane/base";
import { createTar, parseTar } from "nanotar";

const unpackedBytesMax = GiB;
export type ImportModule = (url: string) => Promise<Readonly<Record<string, unknown>>>;

const imported = new Map<string, Readonly<Record<string, unknown>>>();

/** The bundle's exports. `bytes` is empty where this worker was given the digest's bytes before. */
export async function importBundle(
  importModule: ImportModule,
  folder: string,
  digest: string,
  bytes: Uint8Array,
): Promise<Readonly<Record<string, unknown>>> {
  const known = imported.get(digest);
  if (known !== undefined) return known;
  const target = join(folder, `bundle-${digest.slice(0, 16)}`);
  await unpack(bytes, target);
  const exports = await importModule(pathToFileURL(join(target, "main.mjs")).href);
  imported.set(digest, exports);
  return exports;
}

/** Unpacks and imports a bundle of nothing, so that the first real one finds all of that loaded. */
export async function rehearseImport(importModule: ImportModule, folder: string): Promise<void> {
  const target = join(folder, "rehearsal");
  await unpack(gzipSync(createTar([{ name: "main.mjs", data: "export {};" }])), target);
  await importModule(pathToFileURL(join(target, "main.mjs")).href);
  await rm(target, { recursive: true });
}

/** What is unpacked may lie in a longer buffer, whose rest is anything: this library would read on in it. */
export function entriesOf(tar: Uint8Array) {
  return parseTar(ownBytes(tar));
}

async function unpack(bytes: Uint8Array, target: string): Promise<void> {
  const tar = gunzipSync(bytes, { maxOutputLength: unpackedBytesMax });
  await mkdir(target, { recursive: true });
  for (const entry of entriesOf(tar)) {
    const name = normalize(entry.name);
    if (name.startsWith("..") || name.startsWith("/")) throw outside(entry.name);
    const path = join(target, name);
    if (entry.type === "directory") await mkdir(path, { recursive: true });
    if (entry.type !== "file" || entry.data === undefined) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, entry.data);
  }
}

function outside(name: string): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `The code bundle has a file outside its own folder: ${JSON.stringify(name.slice(0, 100))}.`,
    next: "Make the bundle again with `biplane run` or `biplane deploy`.",
  });
}
