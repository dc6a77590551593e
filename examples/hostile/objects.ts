/** Tries to read objects that are not its run's. */
import { Dir, File } from "@biplane/sdk";
import { type Attempt, attempt } from "./attempt.ts";

export function tryObjects(objects: readonly string[], folders: readonly string[]): Promise<Attempt[]> {
  return Promise.all([
    ...objects.map((uri) => attempt("read object", uri, () => new File(uri).text())),
    ...folders.map((uri) => attempt("list objects", uri, () => firstOf(new Dir(uri)))),
  ]);
}

async function firstOf(folder: Dir): Promise<string> {
  for await (const file of folder.files()) return file.uri;
  return "an empty list";
}
