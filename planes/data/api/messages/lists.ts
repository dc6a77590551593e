/** Flyte's list requests to ours. Page sizes are clamped rather than refused: stock clients ask for up to 1000. */
import { limits } from "@biplane/base";
import type { flyte } from "@biplane/data-wire";
import type { ListFilter, ListQuery } from "../../runs/types.ts";

export const equal = 0;

export function listQueryOf(
  request: flyte.common.ListRequest | undefined,
  extra: readonly ListFilter[] = [],
): ListQuery {
  const sort = [...(request?.sortByFields ?? []), ...(request?.sortBy === undefined ? [] : [request.sortBy])];
  return {
    filters: [...filtersOf(request?.filters ?? []), ...extra],
    sort: sort
      .filter((one) => one.key !== "")
      .map((one) => ({ field: one.key, ascending: one.direction === ascendingDirection })),
    limit: clampLimit(request?.limit ?? 0),
    cursor: request?.token ?? "",
  };
}

const ascendingDirection = 1;

export function filtersOf(filters: readonly flyte.common.Filter[]): ListFilter[] {
  return filters.map((filter) => ({
    field: filter.field,
    operator: filter.function as number,
    values: filter.values,
  }));
}

export function clampLimit(limit: number): number {
  return limit <= 0 ? limits.listLimitDefault : Math.min(limit, limits.listLimitMax);
}

/** Parts of a long snapshot, so that no message of a watch outgrows the client's limit. */
export function* inChunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length || start === 0; start += size) {
    yield items.slice(start, start + size);
  }
}
