/**
 * `npm run bench -- NAME [--json]`: runs one benchmark and prints its figures beside those of the reference that it
 * measured in the same run. A bench is a module `bench/NAME.ts` that exports `run(): Promise<BenchRow[]>`.
 */
import { globSync } from "node:fs";
import { parseArgs } from "node:util";
import type { BenchRow } from "./types.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "boolean" } } });
const [name] = positionals;
const names = benchNames();
if (name === undefined || !names.includes(name)) {
  console.error(`${name === undefined ? "Name a bench." : `There is no bench ${JSON.stringify(name)}.`}`);
  console.error(`Use one of: ${names.join(", ")}.`);
  process.exit(2);
}

// Told to end in the middle, it ends with the programs that it started: they go with `exit`.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const module = (await import(new URL(`./${name}.ts`, import.meta.url).href)) as {
  run(): Promise<BenchRow[]>;
};
const rows = await module.run();
if (values.json === true) console.log(JSON.stringify({ bench: name, rows }, null, 2));
else console.log(table(rows));
// A missing reference leaves `met` open: that is no failure of the thing that was measured.
process.exit(rows.some(({ met }) => met === false) ? 1 : 0);

/** Benches lie beside their helpers; what can be run exports `run`, and says so in its name by having no dash or dot. */
function benchNames(): string[] {
  return globSync("*.ts", { cwd: import.meta.dirname })
    .map((file) => String(file).replace(/\.ts$/, ""))
    .filter((candidate) => /^[a-z]+$/.test(candidate) && !["run", "types"].includes(candidate))
    .sort();
}

function table(lines: readonly BenchRow[]): string {
  const cells = lines.map((row) => [
    row.measure,
    `${shorten(row.value)} ${row.unit}`,
    row.referenceValue === null ? "-" : `${shorten(row.referenceValue)} ${row.unit}`,
    row.ratio === null ? "-" : shorten(row.ratio),
    row.goal,
    row.met === true ? "met" : row.met === false ? "MISSED" : "open",
    row.reference,
  ]);
  const all = [["measure", "value", "reference", "ratio", "goal", "", "reference is"], ...cells];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => String(line[column]).length)));
  return all
    .map((line) =>
      line
        .map((cell, column) => String(cell).padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function shorten(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}
