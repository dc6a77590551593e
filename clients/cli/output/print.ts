/** What commands print: tables for people, JSON or YAML for programs, always the same records. */
import type { LogLine } from "@biplane/sdk/remote";
import { stringify } from "yaml";
import { type Column, table } from "./table.ts";

export type OutputFormat = "table" | "json" | "yaml";
export const outputFormats: readonly OutputFormat[] = ["table", "json", "yaml"];

export function printRecords<T extends object>(
  records: readonly T[],
  columns: readonly Column<T>[],
  format: OutputFormat,
  whenEmpty = "Nothing found.",
): void {
  if (format !== "table") printValue(records, format);
  else if (records.length === 0) process.stderr.write(`${whenEmpty}\n`);
  else process.stdout.write(`${table(records, columns, terminalWidth())}\n`);
}

/** One record: as `name: value` lines in a table's place. */
export function printRecord(record: object, format: OutputFormat): void {
  if (format !== "table") {
    printValue(record, format);
    return;
  }
  const entries = Object.entries(record).filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  for (const [name, value] of entries) {
    const text = typeof value === "object" ? JSON.stringify(plain(value)) : String(value);
    process.stdout.write(`${name.padEnd(width)}  ${text.replaceAll("\n", `\n${" ".repeat(width + 2)}`)}\n`);
  }
}

export function printValue(value: unknown, format: OutputFormat): void {
  const text =
    format === "yaml" ? stringify(plain(value)).trimEnd() : JSON.stringify(plain(value), undefined, 2);
  process.stdout.write(`${text}\n`);
}

/** One of many records that are printed as they come: all of them together are one YAML list. */
export function yamlItem(value: unknown): string {
  return stringify([plain(value)]).trimEnd();
}

/** A line of a log, with what is the platform's word and not the task's marked as such. */
export function logText({ originator, text }: Pick<LogLine, "originator" | "text">): string {
  return `${originator === "system" ? "[biplane] " : ""}${text}`;
}

/** The value with everything that JSON lacks in a readable form. */
export function plain(value: unknown): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  if (value === undefined) return null;
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (hasOwnForm(value)) return plain(value.toJSON());
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([name, item]) => [name, plain(item)]),
  );
}

function hasOwnForm(value: object): value is { toJSON(): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

/** A line of a list as long as the terminal is wide; the whole line where it goes into a pipe or a file. */
export function cut(line: string): string {
  const width = terminalWidth();
  return width === undefined || line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

/** Undefined where nobody looks: then nothing is shortened. */
function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined;
}
