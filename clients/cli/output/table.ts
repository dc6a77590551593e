/**
 * Text tables that fit the terminal: the widest columns give way first, cut cells end in `…`. Only the first column stays
 * whole: it has the names that the next command is given.
 */

export interface Column<T> {
  readonly title: string;
  readonly value: (record: T) => string | number | undefined;
  readonly align?: "right";
}

const gap = "  ";
const narrowestCharacters = 8;

export function table<T>(records: readonly T[], columns: readonly Column<T>[], widthMax?: number): string {
  const rows = records.map((record) => columns.map((column) => oneLine(column.value(record))));
  const titles = columns.map((column) => column.title);
  const natural = titles.map((title, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const widths =
    widthMax === undefined ? natural : shrink(natural, widthMax - gap.length * (columns.length - 1));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => fit(cell, widths[index] ?? 0, columns[index]?.align))
      .join(gap)
      .trimEnd();
  return [titles, ...rows].map(line).join("\n");
}

function oneLine(value: string | number | undefined): string {
  return String(value ?? "").replace(/\s*\n\s*/g, " ");
}

function fit(cell: string, width: number, align: "right" | undefined): string {
  const text = cell.length <= width ? cell : `${cell.slice(0, Math.max(0, width - 1))}…`;
  return align === "right" ? text.padStart(width) : text.padEnd(width);
}

function shrink(natural: readonly number[], widthMax: number): readonly number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width, 0) - widthMax;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths.slice(1)), 1);
    if ((widths[widest] ?? 0) <= narrowestCharacters) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return widths;
}
