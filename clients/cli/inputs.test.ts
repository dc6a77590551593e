/** A task's inputs as options: names, required ones, and texts as values of the task's types. */
import { DataFrame, Dir, Duration, File } from "@biplane/sdk";
import type { Uploader } from "@biplane/sdk/remote";
import type { ObjectField, ValueType } from "@biplane/sdk/types/value-type";
import { Command } from "commander";
import { expect, test } from "vitest";
import { addInputOptions, optionName, parseDuration, readInputs, requireInputs } from "./inputs.ts";

const uploader = {
  file: async (path: string) => `s3://uploaded/${path}`,
  folder: async (path: string) => `s3://uploaded/${path}`,
} as unknown as Uploader;

const field = (name: string, type: ValueType, defaultValue?: unknown): ObjectField => ({
  name,
  type,
  description: undefined,
  defaultValue,
});

async function parse(
  fields: readonly ObjectField[],
  words: readonly string[],
): Promise<Record<string, unknown>> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addInputOptions(command, fields);
  command.parse(words, { from: "user" });
  requireInputs(command, fields);
  return readInputs(fields, command.opts(), uploader);
}

test.for([
  ["string", { kind: "string" }, ["a b"], "a b"],
  ["integer", { kind: "integer" }, ["-3"], -3],
  ["64-bit integer", { kind: "bigint" }, ["9007199254740993"], 9007199254740993n],
  ["number", { kind: "float" }, ["1.5e3"], 1500],
  ["boolean", { kind: "boolean" }, ["false"], false],
  ["boolean flag", { kind: "boolean" }, [], true],
  ["date", { kind: "datetime" }, ["2026-01-02"], new Date("2026-01-02")],
  ["duration", { kind: "duration" }, ["1h30m"], Duration.of({ minutes: 90 })],
  ["list", { kind: "list", of: { kind: "integer" } }, ["1", "2"], [1, 2]],
  ["list as JSON", { kind: "list", of: { kind: "integer" } }, ["[1, 2]"], [1, 2]],
  ["map", { kind: "map", of: { kind: "integer" } }, ['{"a": 1}'], { a: 1 }],
  ["plain data", { kind: "any" }, ['{"a": [1]}'], { a: [1] }],
  ["local file", { kind: "file" }, ["x.csv"], new File("s3://uploaded/x.csv")],
  ["stored file", { kind: "file" }, ["s3://b/x.csv"], new File("s3://b/x.csv")],
  ["folder", { kind: "directory" }, ["folder"], new Dir("s3://uploaded/folder")],
  ["stored table", { kind: "dataFrame" }, ["s3://b/t.parquet"], new DataFrame("s3://b/t.parquet")],
  ["optional", { kind: "optional", of: { kind: "integer" }, empty: undefined }, ["4"], 4],
] as const)("a %s is read from its text", async ([, type, texts, expected]) => {
  const words = texts.length === 0 ? ["--value"] : texts.flatMap((text) => ["--value", text]);
  expect(await parse([field("value", type)], words)).toEqual({ value: expected });
});

test("a name in camel case is an option in kebab case", async () => {
  expect(optionName("maxRowsPerFile")).toBe("max-rows-per-file");
  const fields = [field("maxRowsPerFile", { kind: "integer" })];
  expect(await parse(fields, ["--max-rows-per-file", "7"])).toEqual({ maxRowsPerFile: 7 });
});

test("what has a default or is optional may be left out, the rest may not", async () => {
  const optional = field("b", { kind: "optional", of: { kind: "string" }, empty: undefined });
  expect(await parse([field("a", { kind: "integer" }, 1), optional], [])).toEqual({});
  await expect(parse([field("c", { kind: "string" })], [])).rejects.toThrow("--c");
});

test("what is missing is told at once, what is mistyped before it", async () => {
  const fields = [field("rowCount", { kind: "integer" }), field("name", { kind: "string" })];
  await expect(parse(fields, [])).rejects.toThrow("--row-count <integer>, --name <string>");
  await expect(parse(fields, ["--row-cuont", "1"])).rejects.toThrow(/--row-cuont.*Did you mean --row-count/s);
});

test.for([
  ["integer", { kind: "integer" }, "1.5"],
  ["too large integer", { kind: "integer" }, "9007199254740993"],
  ["number", { kind: "float" }, "many"],
  ["boolean", { kind: "boolean" }, "maybe"],
  ["date", { kind: "datetime" }, "yesterday"],
  ["duration", { kind: "duration" }, "5 minutes"],
  ["map", { kind: "map", of: { kind: "string" } }, "{a"],
] as const)("a wrong %s is refused by the option's name", async ([, type, text]) => {
  await expect(parse([field("value", type)], ["--value", text])).rejects.toThrow("--value has to be");
});

test("a file elsewhere is refused before anything is submitted", async () => {
  const parsed = parse([field("value", { kind: "file" })], ["--value", "https://example.com/a.csv"]);
  await expect(parsed).rejects.toThrow("s3://");
});

test("durations are written in units, one or more", () => {
  expect(parseDuration("90s")?.milliseconds).toBe(90_000);
  expect(parseDuration("1.5h")?.milliseconds).toBe(5_400_000);
  expect(parseDuration("2d3m4ms")?.milliseconds).toBe(172_980_004);
  expect(parseDuration("90")).toBeUndefined();
  expect(parseDuration("s")).toBeUndefined();
});
