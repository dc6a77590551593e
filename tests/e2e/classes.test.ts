/** `biplane classes` against what the built planes serve and what their databases hold (claim CLS-1). */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dataClasses } from "@biplane/base";
import { rpcTable } from "@biplane/classification";
import type { RegisterRow } from "@biplane/classification/register";
import { type MigrationSet, openDatabase } from "@biplane/kit/database";
import { embeddedFiles } from "@biplane/verify/search/descriptors";
import {
  type DescriptorProto,
  FieldDescriptorProto_Type,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { controlMigrations } from "../../planes/control/store/migrations.ts";
import { dataMigrations } from "../../planes/data/store/migrations.ts";
import { readColumns } from "../../tools/register/schema.ts";
import { describeOnBothDatabases } from "../support/postgres.ts";

const root = join(import.meta.dirname, "../..");

function classes(...parameters: string[]): readonly RegisterRow[] {
  const node = join(root, "node_modules/.bin/node");
  const words = [join(root, "dist/cli.mjs"), "classes", ...parameters, "-o", "json"];
  return JSON.parse(execFileSync(node, words, { encoding: "utf8" })) as RegisterRow[];
}

const printed = classes();
const printedNames = (kind: RegisterRow["kind"]) =>
  printed
    .filter((row) => row.kind === kind)
    .map(({ name }) => name)
    .sort();

/** Values, whose class is that of the field which holds them. */
const value = /^\.google\.protobuf\.(Timestamp|Duration|(Bool|String|Bytes|Float|Double|U?Int(32|64))Value)$/;
/** Made by the compiler for a map; the map's own field is what is classed. */
const isMapEntry = (message: DescriptorProto) => message.options?.mapEntry === true;

class Bundle {
  readonly #messages = new Map<string, DescriptorProto>();
  readonly files: readonly FileDescriptorProto[];

  constructor(name: string) {
    this.files = embeddedFiles(readFileSync(join(root, `dist/${name}.mjs`), "utf8"));
    for (const file of this.files)
      for (const message of file.messageType) this.#add(`.${file.package}`, message);
  }

  #add(scope: string, message: DescriptorProto): void {
    const name = `${scope}.${message.name}`;
    this.#messages.set(name, message);
    for (const nested of message.nestedType) this.#add(name, nested);
  }

  /** Names of all fields that can be reached from these messages. */
  fieldsFrom(names: readonly string[], found = new Set<string>(), seen = new Set<string>()): Set<string> {
    for (const name of names) {
      if (seen.has(name) || value.test(name)) continue;
      seen.add(name);
      const message = this.#messages.get(name);
      if (message === undefined) throw new Error(`${name} is not in the bundle.`);
      const held = message.field.filter(({ type }) => type === FieldDescriptorProto_Type.MESSAGE);
      if (!isMapEntry(message))
        for (const field of message.field) found.add(`${name.slice(1)}.${field.name}`);
      this.fieldsFrom(
        held.map(({ typeName }) => typeName),
        found,
        seen,
      );
    }
    return found;
  }

  /** What the methods of these names, or all, ask and answer. */
  called(isServed: (method: string) => boolean): string[] {
    return this.files.flatMap((file) =>
      file.service.flatMap((service) =>
        service.method
          .filter(({ name }) => isServed(`${file.package}.${service.name}/${name}`))
          .flatMap(({ inputType, outputType }) => [inputType, outputType]),
      ),
    );
  }

  /** Of our own files: also what is stored, or given to a worker. */
  own(): string[] {
    return [...this.#messages.keys()].filter((name) => name.startsWith(".biplane."));
  }
}

test("covers every field of every message that the two built planes serve, and none that they don't (claim CLS-1)", () => {
  const control = new Bundle("control");
  const data = new Bundle("data");
  const served = Object.keys(rpcTable);
  const calledAtRouter = data.called((method) => served.includes(method));
  expect(calledAtRouter).toHaveLength(2 * served.length);
  const real = new Set([
    ...control.fieldsFrom([...control.called(() => true), ...control.own()]),
    ...data.fieldsFrom([...calledAtRouter, ...data.own()]),
  ]);
  expect(real.size).toBeGreaterThan(900);
  expect(printedNames("message")).toEqual([...real].sort());
});

test("control: a message that the data plane links and does not serve has no row, and would be missed if it were served", () => {
  const data = new Bundle("data");
  const all = data.fieldsFrom(data.called(() => true));
  const missed = [...all].filter((name) => !printedNames("message").includes(name));
  expect(missed.some((name) => name.startsWith("flyteidl2."))).toBe(true);
  expect(missed.filter((name) => name.startsWith("biplane."))).toEqual([]);
});

describeOnBothDatabases("biplane classes", (fresh) => {
  test.each([
    ["control", controlMigrations],
    ["data", dataMigrations],
  ] as const)(
    "covers every column of a live database of the %s plane, and no other (claim CLS-1)",
    async (plane, migrations: MigrationSet) => {
      const database = await openDatabase<Record<never, never>>(await fresh(), migrations);
      try {
        const columns = await readColumns(database.kysely as never);
        const names = columns.map(({ name }) => `${plane}.${name}`);
        expect(names.length).toBeGreaterThan(50);
        expect(printedNames(`${plane}-column`)).toEqual(names.sort());
      } finally {
        await database.close();
      }
    },
  );
});

test("finds what is asked for, with its class, and says so where there is nothing", () => {
  expect(classes("flyteidl2.task.RunSpec.envs")).toMatchObject([{ class: "inline_customer" }]);
  expect(classes("action.outcome")).toMatchObject([{ class: "inline_customer", kept: "sealed" }]);
  expect(new Set(printed.map((row) => row.class))).toEqual(new Set(dataClasses));
  expect(() => classes("no_such_field")).toThrow(/Nothing in the register is called no_such_field/);
});
