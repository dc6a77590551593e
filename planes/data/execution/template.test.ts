import { expect, test } from "vitest";
import { parseQuantity } from "./quantities.ts";
import { expandArguments } from "./template.ts";

const values = {
  input: "s3://biplane/in/inputs.pb",
  outputPrefix: "s3://biplane/out",
  rawOutputDataPrefix: "s3://biplane/raw",
  checkpointOutputPrefix: "s3://biplane/check",
  prevCheckpointPrefix: "",
  runName: "r1",
  actionName: "a0",
  runStartTime: "2026-01-01T00:00:00.000Z",
};

test("templates expand in any case and with spaces, several in one argument", () => {
  const argv = [
    "{{.input}}",
    "{{ .INPUTPREFIX }}",
    "{{.runName}}/{{.actionName}}",
    "{{.prevCheckpointPrefix}}",
  ];
  expect(expandArguments(argv, values)).toEqual([
    "s3://biplane/in/inputs.pb",
    "s3://biplane/in",
    "r1/a0",
    "",
  ]);
});

test("what is no known template stays as it is, and a value is not expanded again", () => {
  expect(expandArguments(["{{.other}}", "{{input}}"], values)).toEqual(["{{.other}}", "{{input}}"]);
  expect(expandArguments(["{{.input}}"], { ...values, input: "{{.runName}}" })).toEqual(["{{.runName}}"]);
});

test.each([
  ["500m", 0.5],
  ["2", 2],
  ["1.5Gi", 1.5 * 2 ** 30],
  ["128M", 128e6],
  ["1e3", 1_000],
])("the quantity %s is %d", (text, amount) => {
  expect(parseQuantity(text)).toBe(amount);
});

test.each(["", "much", "1 GiB", "-1", "1Xi"])("%j is refused as a quantity, in words", (text) => {
  expect(() => parseQuantity(text)).toThrow(/is not an amount of CPU or memory/);
});
