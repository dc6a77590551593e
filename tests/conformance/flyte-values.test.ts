/** Values that the TypeScript SDK writes, read by Python's unmodified Flyte SDK, and the other way round. */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { flyte } from "@biplane/data-wire";
import { DataFrame, Dir, Duration, dataFrame, dir, duration, File, file, z } from "@biplane/sdk";
import { typeOfSchema } from "@biplane/sdk/types/from-schema";
import { literalTypeOf, typeOfLiteralType } from "@biplane/sdk/types/literal-type";
import { decodeValue } from "@biplane/sdk/values/decode";
import { encodeValue } from "@biplane/sdk/values/encode";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { describeWithTools, pythonPath } from "../support/tools.ts";

const { LiteralSchema, LiteralTypeSchema } = flyte.core;
const program = resolve(import.meta.dirname, "flyte_values.py");

interface Exchanged {
  readonly type: string;
  readonly literal: string;
}

async function python<T>(word: string, argument: string): Promise<T> {
  const { stdout } = await promisify(execFile)(pythonPath, [program, word, argument], {
    env: { ...process.env, FLYTE_DISABLE_SENTRY: "1" },
  });
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as T;
}

function write(schema: z.ZodType, value: unknown): Exchanged {
  const type = typeOfSchema(schema);
  return {
    type: Buffer.from(toBinary(LiteralTypeSchema, literalTypeOf(type))).toString("hex"),
    literal: Buffer.from(toBinary(LiteralSchema, encodeValue(type, value, "value"))).toString("hex"),
  };
}

const address = z.object({ street: z.string(), number: z.int() }).meta({ title: "Address" });
const person = z
  .object({
    name: z.string(),
    weight: z.number(),
    born: z.date(),
    slept: duration(),
    home: address,
    others: z.array(address),
    scores: z.record(z.string(), z.int()),
    nickname: z.string().nullable(),
    cv: file(),
  })
  .meta({ title: "Person" });

const ada = {
  name: "Ada",
  weight: 60.5,
  born: new Date("1815-12-10T01:02:03.456Z"),
  slept: Duration.seconds(90.25),
  home: { street: "St James's Square", number: 12 },
  others: [{ street: "Here", number: 1 }],
  scores: { maths: 10 },
  nickname: null,
  cv: new File("s3://b/cv.pdf", { format: "pdf" }),
};

const written: readonly (readonly [string, z.ZodType, unknown, string])[] = [
  ["an integer", z.int(), 42, "42"],
  ["a large integer", z.bigint(), 2n ** 62n, "4611686018427387904"],
  ["a float", z.number(), 1.5, "1.5"],
  ["text", z.string(), "grüße", "'grüße'"],
  ["a boolean", z.boolean(), true, "True"],
  ["a date", z.date(), new Date("2026-01-02T03:04:05.678Z"), "2026-01-02T03:04:05.678000+00:00"],
  ["a duration", duration(), Duration.seconds(-1.5), "-1.5 s"],
  ["a list", z.array(z.int()), [1, 2], "[1, 2]"],
  ["a map", z.record(z.string(), z.number()), { a: 1 }, "{'a': 1.0}"],
  ["an optional that is there", z.string().optional(), "x", "'x'"],
  ["an optional that is not", z.string().optional(), undefined, "None"],
  ["a variant", z.union([z.int(), z.string()]), "x", "'x'"],
  ["an enumeration", z.enum(["red", "blue"]), "red", "enum red"],
  ["a file", file(), new File("s3://b/k.csv", { format: "csv" }), "File s3://b/k.csv csv"],
  ["a directory", dir(), new Dir("s3://b/d"), "Dir s3://b/d"],
  ["a table", dataFrame(), new DataFrame("s3://b/x.parquet"), "DataFrame s3://b/x.parquet parquet"],
  ["plain data", z.any(), { a: [1, "x", null] }, "{'a': [1, 'x', None]}"],
  [
    "a structure",
    person,
    ada,
    "Person Ada 60.5 1815-12-10T01:02:03.456000+00:00 90.25 s St James's Square 12 [1] {'maths': 10} None s3://b/cv.pdf",
  ],
];

describeWithTools("values between the TypeScript SDK and flyte 2.6.5", ["flyte"], () => {
  test("Python reads what TypeScript wrote, knowing the types from the wire alone", async () => {
    const sent = written.map(([, schema, value]) => write(schema, value));
    const read = await python<readonly string[]>("read", JSON.stringify(sent));
    expect(Object.fromEntries(written.map(([title], index) => [title, read[index]]))).toEqual(
      Object.fromEntries(written.map(([title, , , expected]) => [title, expected])),
    );
  });

  test("TypeScript reads what Python wrote, by its own schema and by the type on the wire", async () => {
    const sent = await python<Record<string, Exchanged>>("write", "");
    const literalOf = (name: string) =>
      fromBinary(LiteralSchema, Buffer.from(sent[name]?.literal ?? "", "hex"));
    const bySchema = (name: string, schema: z.ZodType) =>
      decodeValue(typeOfSchema(schema), literalOf(name), name);
    expect(bySchema("int", z.int())).toBe(42);
    expect(bySchema("datetime", z.date())).toEqual(new Date("2026-01-02T03:04:05.678Z"));
    expect(bySchema("timedelta", duration())).toEqual(Duration.seconds(-1.5));
    expect(bySchema("optional", z.string().optional())).toBe("x");
    expect(bySchema("none", z.string().nullable())).toBeNull();
    expect(bySchema("file", file())).toEqual(new File("s3://b/k.csv", { format: "csv" }));
    expect(bySchema("person", person)).toEqual(ada);
    const type = fromBinary(LiteralTypeSchema, Buffer.from(sent["person"]?.type ?? "", "hex"));
    expect(decodeValue(typeOfLiteralType(type), literalOf("person"), "person")).toMatchObject({
      name: "Ada",
      home: { street: "St James's Square", number: 12 },
    });
  });
});
