/** One figure of a benchmark, beside the reference that was measured in the same run on the same machine. */
export interface BenchRow {
  /** Stable name that others compare by, e.g. `put.1KiB`. */
  readonly measure: string;
  readonly value: number;
  readonly unit: string;
  /** What the value is compared with, in words; where it is not installed, that is said here. */
  readonly reference: string;
  /** In the same unit; null where the reference is missing or the goal is absolute. */
  readonly referenceValue: number | null;
  /** `value / referenceValue`; null without a reference. */
  readonly ratio: number | null;
  /** What counts as good, e.g. `ratio >= 0.5`. */
  readonly goal: string;
  /** Null where it can't be decided for want of the reference, or where the figure is for orientation only. */
  readonly met: boolean | null;
}

/** A row that is judged by its ratio to a reference. */
export function ratioRow(
  row: Pick<BenchRow, "measure" | "value" | "unit" | "reference"> & {
    readonly referenceValue: number | null;
  },
  goal: { readonly atLeast?: number; readonly atMost?: number; readonly below?: number },
): BenchRow {
  const ratio = row.referenceValue === null ? null : row.value / row.referenceValue;
  const met = ratio === null || goalText(goal) === "" ? null : meets(ratio, goal);
  return { ...row, ratio, goal: goalText(goal) === "" ? "none" : `ratio ${goalText(goal)}`, met };
}

/** A row that is judged by its own value. */
export function absoluteRow(
  row: Pick<BenchRow, "measure" | "value" | "unit" | "reference">,
  goal: { readonly atLeast?: number; readonly atMost?: number; readonly below?: number },
): BenchRow {
  const text = goalText(goal);
  const judged =
    text === "" ? { goal: "none", met: null } : { goal: `${text} ${row.unit}`, met: meets(row.value, goal) };
  return { ...row, referenceValue: null, ratio: null, ...judged };
}

function meets(value: number, goal: { atLeast?: number; atMost?: number; below?: number }): boolean {
  if (goal.atLeast !== undefined && value < goal.atLeast) return false;
  if (goal.atMost !== undefined && value > goal.atMost) return false;
  return goal.below === undefined || value < goal.below;
}

function goalText(goal: { atLeast?: number; atMost?: number; below?: number }): string {
  const parts = [
    goal.atLeast === undefined ? undefined : `>= ${goal.atLeast}`,
    goal.atMost === undefined ? undefined : `<= ${goal.atMost}`,
    goal.below === undefined ? undefined : `< ${goal.below}`,
  ];
  return parts.filter((part) => part !== undefined).join(" and ");
}
