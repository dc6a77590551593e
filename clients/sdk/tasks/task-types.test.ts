/** What people write has the types that they expect; wrong uses don't compile (`tsc` checks the marked lines). */
import { expect, expectTypeOf, test } from "vitest";
import {
  type DataFrame,
  dataFrame,
  type File,
  file,
  map,
  mapSettled,
  step,
  type Task,
  task,
  z,
} from "../index.ts";

const greet = task(
  {
    name: "greet",
    input: z.object({ name: z.string(), times: z.int().default(1) }),
    output: z.array(z.string()),
  },
  ({ name, times }) => {
    expectTypeOf(name).toEqualTypeOf<string>();
    expectTypeOf(times).toEqualTypeOf<number>();
    return Array.from({ length: times }, () => name);
  },
);
const silent = task({ name: "silent" }, () => undefined);
const nothing = task({ name: "nothing", input: z.object({ a: z.int().optional() }) }, async () => {});
const files = task(
  {
    name: "files",
    input: z.object({ source: file() }),
    output: z.object({ table: dataFrame(), copy: file() }),
  },
  ({ source }) => {
    expectTypeOf(source).toEqualTypeOf<File>();
    return { table: undefined as unknown as DataFrame, copy: source };
  },
);
const doubled = task({ name: "doubled", input: z.int(), output: z.int() }, (value) => value * 2);

test("callers give what the schema takes, and get what it gives back", async () => {
  expectTypeOf(greet).parameter(0).toEqualTypeOf<{ name: string; times?: number | undefined }>();
  expectTypeOf(greet).returns.resolves.toEqualTypeOf<string[]>();
  expectTypeOf(silent).returns.resolves.toEqualTypeOf<undefined>();
  expectTypeOf(files).returns.resolves.toEqualTypeOf<{ table: DataFrame; copy: File }>();
  expectTypeOf(doubled).parameter(0).toEqualTypeOf<number>();
  expect(await greet({ name: "a" })).toEqual(["a"]);
  expect(await silent()).toBeUndefined();
  expect(await nothing()).toBeUndefined();
  expect(await doubled(4)).toBe(8);
});

test("wrong uses don't compile, and are refused where nobody compiled", async () => {
  // @ts-expect-error: the name is missing.
  await expect(greet({ times: 1 })).rejects.toThrow("input of greet.name");
  // @ts-expect-error: there is no input at all.
  await expect(greet()).rejects.toThrow("input of greet.name");
  // @ts-expect-error: the name is a number.
  await expect(greet({ name: 1 })).rejects.toThrow("input of greet.name");
  // @ts-expect-error: the task takes no input.
  await expect(silent({ a: 1 })).rejects.toThrow("no schema");
  // @ts-expect-error: the output is a list of texts, not one text.
  const wrong = task({ name: "wrong", output: z.array(z.string()) }, () => "a");
  await expect(wrong()).rejects.toThrow("output of wrong");
});

test("map takes the task's inputs and gives its outputs, in order", async () => {
  const all = map(greet, [{ name: "a" }, { name: "b", times: 2 }], { concurrency: 2 });
  expectTypeOf(all).resolves.toEqualTypeOf<string[][]>();
  expect(await all).toEqual([["a"], ["b", "b"]]);
  // @ts-expect-error: the inputs are of another task.
  await expect(map(greet, [{ nam: "a" }])).rejects.toThrow("input of greet.name");
});

test("mapSettled gives failures as results", async () => {
  const failing = task({ name: "failing", input: z.int(), output: z.int() }, (value) => {
    if (value === 2) throw new Error("two");
    return value;
  });
  const settled = await mapSettled(failing, [1, 2, 3]);
  expectTypeOf(settled).toEqualTypeOf<PromiseSettledResult<number>[]>();
  expect(settled.map((one) => one.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("a step has its function's type, or its schema's", async () => {
  const plain = step("plain", async () => ({ a: 1 }));
  expectTypeOf(plain).resolves.toEqualTypeOf<{ a: number }>();
  const dated = step("dated", { output: z.date() }, () => new Date(0));
  expectTypeOf(dated).resolves.toEqualTypeOf<Date>();
  expect([await plain, await dated]).toEqual([{ a: 1 }, new Date(0)]);
});

test("a task can be passed on as what it is", () => {
  expectTypeOf(doubled).toExtend<Task<number, number>>();
});
