/** `biplane classes` against what the built planes serve and what their databases hold (claim CLS-1). */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dataClasses } from "@biplane/base";
import { rpcTable } from "@biplane/classification";
import type { RegisterRow } from "@biplane/classification/register";
import { type MigrationSet, openDatabase } from "@biplane/kit/database";
import { readColumns } from "@biplane/kit/table-columns";
import { LinkedMessages } from "@biplane/verify/search/linked-messages";
import { expect, test } from "vitest";
import { controlMigrations } from "../../planes/control/store/migrations.ts";
import { dataMigrations } from "../../planes/data/store/migrations.ts";
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

const program = (name: string) => new LinkedMessages(readFileSync(join(root, `dist/${name}.mjs`), "utf8"));

test("covers every field of every message that the two built planes serve, and none that they don't (claim CLS-1)", () => {
  const control = program("control");
  const data = program("data");
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
  const data = program("data");
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
