/** Values survive the way to a literal and back, whatever they are, and as the bytes that Python's SDK writes. */
import { flyte } from "@biplane/data-wire";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytes, DataFrame, Dir, Duration, dataFrame, dir, duration, File, file, z } from "../index.ts";
import { typeOfSchema } from "../types/from-schema.ts";
import { decodeValue } from "./decode.ts";
import { encodeValue } from "./encode.ts";

const { LiteralSchema } = flyte.core;

function roundTrip(schema: z.ZodType, value: unknown): unknown {
  const type = typeOfSchema(schema);
  const sent = toBinary(LiteralSchema, encodeValue(type, value, "value"));
  return decodeValue(type, fromBinary(LiteralSchema, sent), "value");
}

function hex(schema: z.ZodType, value: unknown): string {
  return Buffer.from(toBinary(LiteralSchema, encodeValue(typeOfSchema(schema), value, "value"))).toString(
    "hex",
  );
}

const date = fc.date({ noInvalidDate: true, min: new Date("0001-01-02"), max: new Date("9999-12-30") });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const span = fc.integer({ min: -(2 ** 41), max: 2 ** 41 }).map((ms) => Duration.milliseconds(ms));
/** `toStrictEqual` compares what objects hold as `constructor`, so a key of that name can't be compared by it. */
const key = fc.string({ minLength: 1 }).filter((text) => text !== "__proto__" && text !== "constructor");
const float = fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0));

const person = z.object({
  name: z.string(),
  age: z.int(),
  weight: z.number(),
  born: z.date(),
  slept: duration(),
  photo: bytes(),
  large: z.bigint(),
  nickname: z.string().optional(),
  boss: z.string().nullable(),
  role: z.enum(["admin", "guest"]),
  tags: z.array(z.string()),
  scores: z.record(z.string(), z.number()),
  contact: z.union([z.int(), z.string(), z.object({ street: z.string() })]),
  cv: file(),
});
const anyPerson = fc.record(
  {
    name: fc.string(),
    age: fc.maxSafeInteger(),
    weight: float,
    born: date,
    slept: span,
    photo: fc.uint8Array().map((array) => new Uint8Array(array)),
    large: int64,
    nickname: fc.string(),
    boss: fc.option(fc.string()),
    role: fc.constantFrom("admin", "guest"),
    tags: fc.array(fc.string()),
    scores: fc.dictionary(key, float, { noNullPrototype: true }),
    contact: fc.oneof(
      fc.maxSafeInteger(),
      fc.string(),
      fc.record({ street: fc.string() }, { noNullPrototype: true }),
    ),
    cv: fc.webPath().map((path) => new File(`s3://bucket${path}`, { format: "pdf" })),
  },
  {
    requiredKeys: [
      "name",
      "age",
      "weight",
      "born",
      "slept",
      "photo",
      "large",
      "boss",
      "role",
      "tags",
      "scores",
      "contact",
      "cv",
    ],
    noNullPrototype: true,
  },
);

const cases: readonly (readonly [string, z.ZodType, fc.Arbitrary<unknown>])[] = [
  ["text", z.string(), fc.string({ unit: "binary" })],
  ["whole numbers", z.int(), fc.maxSafeInteger()],
  ["numbers", z.number(), float],
  ["64-bit integers", z.bigint(), int64],
  ["booleans", z.boolean(), fc.boolean()],
  ["dates", z.date(), date],
  ["durations", duration(), span],
  ["bytes", bytes(), fc.uint8Array().map((array) => new Uint8Array(array))],
  ["lists", z.array(z.array(z.int())), fc.array(fc.array(fc.maxSafeInteger()))],
  ["maps", z.record(z.string(), z.date()), fc.dictionary(key, date, { noNullPrototype: true })],
  ["optional values", z.string().optional(), fc.option(fc.string(), { nil: undefined })],
  ["nullable values", z.int().nullable(), fc.option(fc.maxSafeInteger())],
  [
    "unions",
    z.union([z.int(), z.string(), z.boolean()]),
    fc.oneof(fc.maxSafeInteger(), fc.string(), fc.boolean()),
  ],
  ["structures", person, anyPerson],
  ["lists of structures", z.array(person), fc.array(anyPerson, { maxLength: 3 })],
];

test.for(cases)("%s come back as they went", ([, schema, values]) => {
  fc.assert(
    fc.property(values, (value) => {
      expect(roundTrip(schema, value)).toStrictEqual(value);
    }),
    { numRuns: 60 },
  );
});

test("references keep their format, hash and columns", () => {
  const report = new File("s3://b/r.csv", { format: "csv", hash: "abc" });
  expect(roundTrip(file(), report)).toStrictEqual(report);
  expect(roundTrip(dir(), new Dir("s3://b/d/"))).toStrictEqual(new Dir("s3://b/d"));
  const table = new DataFrame("s3://b/t.parquet", { columns: [{ name: "n", type: "integer" }] });
  expect(roundTrip(dataFrame(), table)).toStrictEqual(table);
});

test("structures that contain themselves come back", () => {
  interface Tree {
    label: string;
    branches: Tree[];
  }
  const tree: z.ZodType<Tree> = z.object({ label: z.string(), branches: z.array(z.lazy(() => tree)) });
  const value = { label: "a", branches: [{ label: "b", branches: [{ label: "c", branches: [] }] }] };
  expect(roundTrip(tree, value)).toStrictEqual(value);
});

test.for([
  ["an integer", z.int(), 1, "0a040a020801"],
  ["a float that is whole", z.number(), 1, "0a0b0a0911000000000000f03f"],
  ["text", z.string(), "x", "0a050a031a0178"],
  ["a boolean", z.boolean(), true, "0a040a022001"],
  ["a duration", duration(), Duration.seconds(1.5), "0a0c0a0a320808011080cab5ee01"],
  ["nothing", z.undefined(), undefined, "0a022a00"],
  ["a list", z.array(z.int()), [1], "12080a060a040a020801"],
  ["a map", z.record(z.string(), z.int()), { a: 1 }, "1a0d0a0b0a016112060a040a020801"],
  [
    "an optional that is there",
    z.string().optional(),
    "x",
    "0a164a140a070a050a031a0178120908035a050a03737472",
  ],
  [
    "an optional that is not",
    z.string().optional(),
    undefined,
    "0a144a120a040a022a00120a08005a060a046e6f6e65",
  ],
  ["a variant", z.union([z.int(), z.string()]), 1, "0a154a130a060a040a020801120908015a050a03696e74"],
  [
    "a file",
    file(),
    new File("s3://b/k.csv", { format: "csv" }),
    "0a1912170a070a050a036373761a0c73333a2f2f622f6b2e637376",
  ],
  ["a directory", dir(), new Dir("s3://b/d"), "0a1212100a040a0210011a0873333a2f2f622f64"],
  [
    "a table",
    dataFrame(),
    new DataFrame("s3://b/x.parquet"),
    "0a21421f0a1073333a2f2f622f782e70617271756574120b0a09120770617271756574",
  ],
  ["any plain data", z.any(), { a: 1 }, "0a111a0f0a0481a1610112076d73677061636b"],
] as const)("%s has the bytes that Python's SDK writes", ([, schema, value, expected]) => {
  expect(hex(schema, value)).toBe(expected);
});

test("equal maps give equal bytes whatever the order of their keys", () => {
  const schema = z.record(z.string(), z.int());
  expect(hex(schema, { a: 1, b: 2 })).toBe(hex(schema, { b: 2, a: 1 }));
});

test.for([
  ["a number for text", z.string(), 1],
  ["a fraction for a whole number", z.int(), 1.5],
  ["an integer beyond 64 bits", z.bigint(), 2n ** 63n],
  ["an unknown member of an enumeration", z.enum(["a"]), "b"],
  ["an invalid date", z.date(), new Date("never")],
  ["a wrong item in a list", z.array(z.int()), [1, "2"]],
  ["a function", z.any(), { work: () => 1 }],
] as const)("%s is refused, and the place is named", ([, schema, value]) => {
  expect(() => roundTrip(schema, value)).toThrow(TypeError);
});

test("an integer that a number can't hold exactly asks for z.bigint()", () => {
  const literal = encodeValue({ kind: "bigint" }, 2n ** 60n, "value");
  expect(() => decodeValue({ kind: "integer" }, literal, "value")).toThrow("z.bigint()");
});

test.for([
  ["a transform", z.object({ a: z.string().transform((text) => text.length) }), "Transform inside the task"],
  ["a class of one's own", z.object({ a: z.instanceof(URL) }), "bytes()"],
] as const)("%s in a schema is refused with what to do instead", ([, schema, remedy]) => {
  expect(() => typeOfSchema(schema)).toThrow(remedy);
});
