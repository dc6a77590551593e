/** Every field of Biplane's own protocols belongs to exactly one class (claims CLS-1, CLS-2). */
import { globSync } from "node:fs";
import { join } from "node:path";
import { Class, class$ } from "@biplane/control-wire";
import {
  create,
  createFileRegistry,
  type DescField,
  type DescFile,
  type DescMessage,
  getOption,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { root } from "./sources.ts";

async function filesOf(wire: string): Promise<DescFile[]> {
  const paths = globSync(`contracts/${wire}/gen/biplane/**/*_pb.ts`, { cwd: root }).map(String).sort();
  const modules = await Promise.all(
    paths.map((path) => import(join(root, path)) as Promise<Record<string, unknown>>),
  );
  return modules.flatMap((module) => Object.values(module).filter(isFile));
}

function isFile(value: unknown): value is DescFile {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "file";
}

function fieldsOf(messages: readonly DescMessage[]): DescField[] {
  return messages.flatMap((message) => [...message.fields, ...fieldsOf(message.nestedMessages)]);
}

function unclassified(files: readonly DescFile[]): string[] {
  return files
    .flatMap(({ messages }) => fieldsOf(messages))
    .filter((field) => getOption(field, class$) === Class.UNSPECIFIED)
    .map(String);
}

test.each(["control-wire", "data-wire"])("every field of the %s has a class", async (wire) => {
  const files = await filesOf(wire);
  expect(files.flatMap(({ messages }) => fieldsOf(messages)).length).toBeGreaterThan(50);
  expect(unclassified(files)).toEqual([]);
});

test("the control wire carries public, platform and orchestration data only", async () => {
  const allowed = new Set([Class.PUBLIC, Class.PLATFORM, Class.ORCHESTRATION]);
  const files = (await filesOf("control-wire")).filter(({ name }) => name.startsWith("biplane/control/"));
  const others = files
    .flatMap(({ messages }) => fieldsOf(messages))
    .filter((field) => !allowed.has(getOption(field, class$)))
    .map((field) => `${field}: ${Class[getOption(field, class$)]}`);
  expect(others).toEqual([]);
});

test("the control wire has no field that could hold anything: no Any, no Struct, no map but of labels", async () => {
  const files = (await filesOf("control-wire")).filter(({ name }) => name.startsWith("biplane/control/"));
  const open = files
    .flatMap(({ messages }) => fieldsOf(messages))
    .filter((field) => {
      if (field.fieldKind === "map") return field.name !== "labels";
      return field.message?.typeName.match(/^google\.protobuf\.(Any|Struct|Value|ListValue)$/) != null;
    });
  expect(open.map(String)).toEqual([]);
});

test("control: a field without a class is reported by its full name", () => {
  const field = {
    name: "leak",
    number: 1,
    type: FieldDescriptorProto_Type.STRING,
    label: FieldDescriptorProto_Label.OPTIONAL,
  };
  const proto: FileDescriptorProto = create(FileDescriptorProtoSchema, {
    name: "biplane/control/v1/leak.proto",
    package: "biplane.control.v1",
    syntax: "proto3",
    messageType: [{ name: "Leak", field: [field] }],
  });
  const file = createFileRegistry(proto, () => undefined).getFile("biplane/control/v1/leak.proto")!;
  expect(unclassified([file])).toEqual(["field biplane.control.v1.Leak.leak"]);
});
