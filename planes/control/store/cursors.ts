/**
 * Cursors of lists: where the last page ended, encrypted and bound to organization, list and filters, so that a cursor
 * tells nothing and continues nothing but its own list.
 */
import { BiplaneError, limits } from "@biplane/base";
import type { Page } from "@biplane/control-wire";
import { openRecord, sealRecord } from "@biplane/kit";
import type { Store } from "./open.ts";

export type Position = readonly (string | number)[];

export interface ListScope {
  readonly org: string;
  readonly list: string;
  readonly filters: readonly unknown[];
}

export interface PageRequest {
  readonly limit: number;
  /** Exclusive; undefined begins the list. */
  readonly after: Position | undefined;
}

/** `limit` is clamped to 1…1000, 100 where it is 0. Throws `invalid_argument` on a cursor of another list. */
export function readPage(store: Store, scope: ListScope, page: Page | undefined): PageRequest {
  const asked = page?.limit ?? 0;
  const limit = Math.min(asked === 0 ? limits.listLimitDefault : asked, limits.listLimitMax);
  const cursor = page?.cursor ?? "";
  return { limit, after: cursor === "" ? undefined : openCursor(store, scope, cursor) };
}

/** Items were read with one more than the limit: the extra one says that there is a next page. */
export function cutPage<T>(
  store: Store,
  scope: ListScope,
  request: PageRequest,
  items: readonly T[],
  positionOf: (item: T) => Position,
): { items: readonly T[]; nextCursor: string } {
  const kept = items.slice(0, request.limit);
  const last = kept.at(-1);
  if (items.length <= request.limit || last === undefined) return { items: kept, nextCursor: "" };
  const sealed = sealRecord(store.cursorKey, placeOf(scope), Buffer.from(JSON.stringify(positionOf(last))));
  return { items: kept, nextCursor: Buffer.from(sealed).toString("base64url") };
}

function openCursor(store: Store, scope: ListScope, cursor: string): Position {
  try {
    const opened = openRecord(store.cursorKey, placeOf(scope), Buffer.from(cursor, "base64url"));
    return JSON.parse(Buffer.from(opened).toString("utf8")) as Position;
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: "The cursor does not belong to this list.",
        why: "A cursor continues the list and the filters that it came from.",
        next: "Start again without a cursor.",
      },
      { cause, reason: "bad_cursor" },
    );
  }
}

function placeOf(scope: ListScope): string {
  return JSON.stringify([scope.org, scope.list, ...scope.filters]);
}
