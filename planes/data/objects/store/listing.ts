/** Lists keys in order, with S3's delimiter: what shares a prefix up to the delimiter is rolled up into one line. */
import type { Catalog } from "./catalog.ts";
import type { ObjectEntry } from "./entries.ts";

export interface ListQuery {
  readonly prefix: string;
  readonly delimiter?: string;
  /** Lists what comes behind this key, or behind everything below this rolled-up prefix. */
  readonly after?: ListPlace;
  readonly limit: number;
}

export interface ListPlace {
  readonly kind: "key" | "prefix";
  readonly value: string;
}

export interface ListPage {
  readonly entries: ObjectEntry[];
  readonly prefixes: string[];
  /** Where the next page begins; undefined at the end. */
  readonly next: ListPlace | undefined;
}

export function listObjects(catalog: Catalog, query: ListQuery): ListPage {
  const entries: ObjectEntry[] = [];
  const prefixes: string[] = [];
  let place: ListPlace | undefined;
  let entry = firstEntry(catalog, query);
  while (entry?.key.startsWith(query.prefix)) {
    if (entries.length + prefixes.length >= query.limit) return { entries, prefixes, next: place };
    const rolledUp = prefixOf(entry.key, query);
    if (rolledUp === undefined) {
      entries.push(entry);
      place = { kind: "key", value: entry.key };
    } else {
      prefixes.push(rolledUp);
      place = { kind: "prefix", value: rolledUp };
    }
    entry = follow(catalog, place);
  }
  return { entries, prefixes, next: undefined };
}

function firstEntry(catalog: Catalog, { prefix, after }: ListQuery): ObjectEntry | undefined {
  const start = catalog.next(prefix, false);
  const followed = after === undefined ? undefined : follow(catalog, after);
  if (after === undefined || start === undefined) return start;
  // Both are in the catalog's order already; the later of the two is where both conditions hold.
  return followed === undefined || isBefore(start.key, followed.key) ? followed : start;
}

function follow(catalog: Catalog, place: ListPlace): ObjectEntry | undefined {
  return place.kind === "key" ? catalog.next(place.value, true) : catalog.nextBehind(place.value);
}

function prefixOf(key: string, { prefix, delimiter }: ListQuery): string | undefined {
  if (delimiter === undefined || delimiter === "") return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

function isBefore(left: string, right: string): boolean {
  return Buffer.compare(Buffer.from(left), Buffer.from(right)) < 0;
}
