/** Splits one Parquet file into one for each origin, and stores them. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { File } from "@biplane/sdk";
import { openDatabase } from "./database.ts";

export interface Part {
  readonly origin: string;
  readonly flights: File;
}

const uploadsAtOnce = 8;

export async function partitionByOrigin(source: string, folder: string): Promise<Part[]> {
  const database = await openDatabase();
  const target = join(folder, "parts");
  // By default DuckDB writes a second file for an origin after half a million rows.
  await database.run("set partitioned_write_flush_threshold = 1000000000");
  await database.run(
    `copy (select * from read_parquet(?)) to '${target}' (format parquet, partition_by (origin))`,
    [source],
  );
  const names = (await readdir(target)).sort();
  const parts: Part[] = [];
  for (let start = 0; start < names.length; start += uploadsAtOnce) {
    const batch = names.slice(start, start + uploadsAtOnce).map((name) => store(target, name));
    parts.push(...(await Promise.all(batch)));
  }
  return parts;
}

/** DuckDB names the folders `origin=ATL`. */
async function store(target: string, name: string): Promise<Part> {
  const origin = decodeURIComponent(name.slice("origin=".length));
  const [file, ...others] = await readdir(join(target, name));
  if (file === undefined || others.length > 0)
    throw new Error(`${origin} has ${others.length + 1} files, not one.`);
  const flights = await File.upload(join(target, name, file), {
    name: `${origin}.parquet`,
    format: "parquet",
  });
  return { origin, flights };
}
