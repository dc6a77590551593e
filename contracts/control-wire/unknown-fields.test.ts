import { create, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { expect, test } from "vitest";
import {
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
  file_biplane_control_v1_types,
  findUnknownField,
  findViolation,
} from "./index.ts";

const files = [
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
  file_biplane_control_v1_types,
];
const schemas = files.flatMap((file) => file.messages);
const smuggled = new BinaryWriter().tag(1999, WireType.LengthDelimited).string("customer data").finish();

/** Every way from the message down to a message inside it, each message of a way once. */
function waysDown(schema: DescMessage, above: readonly DescMessage[] = []): string[][] {
  if (above.includes(schema)) return [];
  const below = schema.fields.flatMap((field) =>
    field.message === undefined
      ? []
      : waysDown(field.message, [...above, schema]).map((way) => [field.name, ...way]),
  );
  return [[], ...below];
}

/** The message's bytes with the unknown field at the end of the way. */
function bytesWithUnknown(schema: DescMessage, way: readonly string[]): Uint8Array {
  const [name, ...rest] = way;
  if (name === undefined) return smuggled;
  const field = schema.fields.find((one) => one.name === name)!;
  const inner = bytesWithUnknown(field.message!, rest);
  return new BinaryWriter().tag(field.number, WireType.LengthDelimited).bytes(inner).finish();
}

function pathOf(schema: DescMessage, way: readonly string[]): string {
  let current = schema;
  const parts = way.map((name) => {
    const field = current.fields.find((one) => one.name === name)!;
    current = field.message!;
    return field.fieldKind === "list" ? `${name}[0]` : name;
  });
  return [...parts, "1999"].join(".");
}

test.each(schemas.map((schema) => [schema.typeName, schema] as const))(
  "%s refuses an unknown field at every depth and names its path (claim CLS-2)",
  (_, schema) => {
    for (const way of waysDown(schema)) {
      const message = fromBinary(schema, bytesWithUnknown(schema, way));
      expect(findUnknownField(schema, message)).toBe(pathOf(schema, way));
    }
    const control: Message = fromBinary(schema, toBinary(schema, create(schema)));
    expect(findUnknownField(schema, control)).toBeUndefined();
  },
);

const link = file_biplane_control_v1_types.messages;
const runProjection = link.find((one) => one.name === "RunProjection")!;
const projectionWith = (fields: object) => create(runProjection, fields as never);

test.each([
  ["an error's text in a code", { failureCode: "ValueError: patient 4711 not found" }, "failure_code"],
  ["a mail address in a subject", { createdBy: "ada@example.com" }, "created_by"],
  ["several lines in a name", { run: { name: "a\nb" } }, "run.name"],
  ["a long text in a name", { task: { name: "x".repeat(256) } }, "task.name"],
  ["more than a digest in a digest", { documentDigest: new Uint8Array(33) }, "document_digest"],
  ["a number that is no phase", { phase: 4711 }, "phase"],
])("%s is found before it crosses (claim CLS-6)", (_, fields, path) => {
  expect(findViolation(runProjection, projectionWith(fields))?.path).toBe(path);
});

test("an ordinary projection violates nothing", () => {
  const ordinary = {
    failureCode: "OOMKilled",
    createdBy: "client-1",
    documentDigest: new Uint8Array(32),
    phase: 6,
  };
  expect(findViolation(runProjection, projectionWith(ordinary))).toBeUndefined();
});
