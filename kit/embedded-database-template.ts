/**
 * An empty embedded database, made once when Biplane is built: making one takes seconds, unpacking it a fraction.
 * A folder either has a whole database or none, whenever the process is killed.
 */
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { parseTar } from "nanotar";
import { readFileIfAny, syncDirectory } from "./files.ts";

/** Where the build leaves it: beside the bundles. */
const templateFile = new URL(
  import.meta.url.endsWith(".ts") ? "../dist/embedded-database.tar.gz" : "./embedded-database.tar.gz",
  import.meta.url,
);

const filesAtOnce = 32;

/** Gives the folder the template's content where it has no database yet. Without a template nothing happens. */
export async function prepareDatabaseFolder(folder: string): Promise<void> {
  if ((await readFileIfAny(join(folder, "PG_VERSION"))) !== undefined) return;
  const template = await readFile(templateFile).catch(() => undefined);
  if (template === undefined) return;
  const unpacked = `${folder}.new`;
  await rm(unpacked, { recursive: true, force: true });
  await unpack(template, unpacked);
  await rm(folder, { recursive: true, force: true });
  await rename(unpacked, folder);
  await syncDirectory(dirname(folder));
}

async function unpack(template: Uint8Array, folder: string): Promise<void> {
  const entries = parseTar(await promisify(gunzip)(template));
  const folders = new Set(["."]);
  for (const { name, type } of entries) folders.add(type === "directory" ? name : dirname(name));
  for (const name of folders) await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  const files = entries.filter(({ type }) => type === "file");
  for (let first = 0; first < files.length; first += filesAtOnce) {
    const group = files.slice(first, first + filesAtOnce);
    await Promise.all(
      group.map(({ name, data }) => writeSynced(join(folder, name), data ?? new Uint8Array())),
    );
  }
  for (const name of folders) await syncDirectory(join(folder, name));
}

async function writeSynced(path: string, content: Uint8Array): Promise<void> {
  await writeFile(path, content, { mode: 0o600 });
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
