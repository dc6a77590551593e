/** What a message of the link may hold: nothing unknown, nothing of a class that may not cross, at any depth, either way. */
import {
  clone,
  create,
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type DescService,
  fromBinary,
  setExtension,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type DescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { namedMessages, spoiledMessages } from "../../tests/support/generated-messages.ts";
import * as wire from "./index.ts";

const { Class, class$, findViolation } = wire;
const everything: readonly unknown[] = Object.values(wire);
const kindOf = (one: unknown) => (one as { kind?: unknown } | null)?.kind;
const services = everything.filter((one): one is DescService => kindOf(one) === "service");
const files = everything.filter((one): one is DescFile => kindOf(one) === "file");

const directions = services.flatMap((service) =>
  service.methods.flatMap((method) => [
    [`${service.name}/${method.name} up`, method.input] as const,
    [`${service.name}/${method.name} down`, method.output] as const,
  ]),
);

test.each(directions)(
  "%s: an unknown field is refused by its path, wherever it is; the message without it passes (claim CLS-2)",
  (_, schema) => {
    for (const [, whole] of namedMessages(schema)) {
      expect(findViolation(schema, whole)).toBeUndefined();
      for (const { path, message } of spoiledMessages(schema, whole)) {
        const received = fromBinary(schema, toBinary(schema, message));
        expect(findViolation(schema, received)?.path).toBe(path);
      }
    }
  },
);

test("control: there is a message for each kind of each method, and one to spoil for each message inside", () => {
  const all = directions.flatMap(([, schema]) =>
    namedMessages(schema).map(([, whole]) => ({ schema, whole })),
  );
  const spoiled = all.flatMap(({ schema, whole }) => spoiledMessages(schema, whole));
  const reached = new Set(spoiled.flatMap(({ message }) => [message.$typeName]));
  expect(directions.length).toBeGreaterThan(30);
  expect(spoiled.length).toBeGreaterThan(150);
  expect(reached.size).toBeGreaterThan(25);
});

const forbiddenNumber = 1998;

/** The protocol as a mistaken change would make it: each message has one more field, of this class or of none. */
function protocolWith(one: wire.Class | undefined): (typeName: string) => DescMessage {
  const protos = inOrder(files).map((proto) => {
    const copy = clone(FileDescriptorProtoSchema, proto);
    if (copy.name.startsWith("biplane/control/"))
      for (const message of copy.messageType) addField(message, one);
    return copy;
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: protos }));
  return (typeName) => registry.getMessage(typeName)!;
}

/** With what they import, each after what it imports. */
function inOrder(wanted: readonly DescFile[], found = new Set<FileDescriptorProto>()): FileDescriptorProto[] {
  for (const file of wanted) {
    inOrder(file.dependencies, found);
    found.add(file.proto);
  }
  return [...found];
}

function addField(message: DescriptorProto, one: wire.Class | undefined): void {
  const options = create(FieldOptionsSchema);
  if (one !== undefined) setExtension(options, class$, one);
  message.field.push(
    create(FieldDescriptorProtoSchema, {
      name: "forbidden",
      number: forbiddenNumber,
      label: FieldDescriptorProto_Label.OPTIONAL,
      type: FieldDescriptorProto_Type.STRING,
      options,
    }),
  );
}

const smuggled = new BinaryWriter().tag(forbiddenNumber, WireType.LengthDelimited).string("inner").finish();

test.each([
  ["inline customer data", Class.INLINE_CUSTOMER],
  ["bulk customer data", Class.BULK_CUSTOMER],
  ["capabilities", Class.CAPABILITY],
  ["no class", undefined],
])(
  "a field of %s is refused by its path at both ends, were the protocol to have one (claim CLS-2)",
  (_, one) => {
    const messageOf = protocolWith(one);
    for (const [, schema] of directions) {
      const mistaken = messageOf(schema.typeName);
      const empty = fromBinary(mistaken, new Uint8Array());
      expect(findViolation(mistaken, empty)).toBeUndefined();
      const received = fromBinary(mistaken, smuggled);
      expect(findViolation(mistaken, received)).toMatchObject({
        path: "forbidden",
        rule: "of a class that may cross",
      });
    }
    const batch = messageOf("biplane.control.v1.ConnectRequest");
    const within = (number: number, bytes: Uint8Array) =>
      new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
    const deep = fromBinary(batch, within(2, within(2, within(3, within(4, smuggled)))));
    expect(findViolation(batch, deep)?.path).toBe("events.events[0].run_created.task.forbidden");
  },
);

test("control: a field of a class that may cross is taken, were the protocol to have one", () => {
  const mistaken = protocolWith(Class.ORCHESTRATION)("biplane.control.v1.RunRef");
  expect(findViolation(mistaken, fromBinary(mistaken, smuggled))).toBeUndefined();
});
