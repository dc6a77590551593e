/** What commands print: tables that fit, values as JSON and YAML can hold them, spans and sizes in words. */
import { Duration, File } from "@biplane/sdk";
import { expect, test } from "vitest";
import { plain } from "./print.ts";
import { countActions, Rate } from "./progress.ts";
import { table } from "./table.ts";
import { size, span } from "./text.ts";

const columns = [
  { title: "NAME", value: (one: { name: string; count: number }) => one.name },
  { title: "COUNT", value: (one: { name: string; count: number }) => one.count, align: "right" as const },
];

test("columns line up, numbers to the right, without blanks at the end of lines", () => {
  const text = table(
    [
      { name: "a", count: 5 },
      { name: "longer", count: 1234 },
    ],
    columns,
  );
  expect(text.split("\n")).toEqual(["NAME    COUNT", "a           5", "longer   1234"]);
});

test("a table gets no wider than the terminal; what is cut ends in an ellipsis, names of records are not cut", () => {
  const name = "a-name-of-22-characters";
  const described = [columns[0]!, { title: "TEXT", value: () => "x".repeat(100) }, columns[1]!];
  const text = table([{ name, count: 1 }], described, 50);
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(50);
  expect(text).toContain("x…");
  expect(text).toContain(name);
});

test("several lines in a cell become one", () => {
  expect(table([{ name: "a\n  b", count: 1 }], columns)).toContain("a b");
});

test("values without a JSON form are printed in a readable one", () => {
  const value = {
    big: 2n ** 63n,
    small: 3n,
    bytes: new Uint8Array([1, 2]),
    when: new Date(0),
    span: Duration.seconds(2),
    file: new File("s3://b/f"),
    nothing: undefined,
  };
  expect(plain(value)).toEqual({
    big: "9223372036854775808",
    small: 3,
    bytes: { base64: "AQI=" },
    when: "1970-01-01T00:00:00.000Z",
    span: 2,
    file: { path: "s3://b/f", name: "f", format: "", hash: null },
  });
});

test.for([
  [0, "0ms"],
  [999, "999ms"],
  [1_500, "1.5s"],
  [61_000, "1m1s"],
  [3_700_000, "1h1m"],
  [260_000_000, "3d"],
] as const)("%i ms are %s", ([ms, text]) => {
  expect(span(ms)).toBe(text);
});

test.for([
  [0, "0 B"],
  [1_023, "1023 B"],
  [1_536, "1.5 KiB"],
  [300 * 1024, "300 KiB"],
  [5 * 1024 ** 3, "5.0 GiB"],
] as const)("%i bytes are %s", ([bytes, text]) => {
  expect(size(bytes)).toBe(text);
});

test("progress counts recovered actions as done, timed out ones as failed, aborted ones apart", () => {
  const totals = [1, 4, 5, 6, 7, 8, 10].map((phase) => ({ phase, count: 2n }));
  const tasks = [{ taskName: "t", totals }] as unknown as Parameters<typeof countActions>[0];
  expect(countActions(tasks)).toEqual({ total: 14, done: 4, failed: 4, aborted: 2, running: 2 });
});

test("the rate is that of the newest seconds, not of the whole run", () => {
  const rate = new Rate();
  for (let second = 0; second <= 60; second += 1) rate.after(0, second * 1_000);
  let newest = 0;
  for (let second = 1; second <= 10; second += 1) newest = rate.after(second * 20, 60_000 + second * 1_000);
  expect(newest).toBeCloseTo(20, 5);
});
