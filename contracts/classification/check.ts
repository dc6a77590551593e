/** What the register lacks, names too much, or says wrongly, compared with what there really is (claim CLS-1). */
import { auditFields } from "@biplane/audit";
import { dataClasses, isKnowable, logFields } from "@biplane/base";
import { type Columns, isKeptRightly } from "./columns.ts";
import { controlColumns } from "./control-columns.ts";
import { dataColumns } from "./data-columns.ts";
import { messageFields, tabledFields } from "./messages.ts";

/** A column of a real database. */
export interface RealColumn {
  /** As `run.phase`. */
  readonly name: string;
  /** As PostgreSQL names it: `text`, `bytea`, `bigint`. */
  readonly type: string;
}

/** What there really is: schemas that the migrations make, and names that the sources use. */
export interface Reality {
  readonly controlColumns: readonly RealColumn[];
  readonly dataColumns: readonly RealColumn[];
  readonly logFields: readonly string[];
  readonly auditFields: readonly string[];
}

const folder = "contracts/classification";

/** One line for each gap: the name, what is wrong, and what to do. Empty where the register is whole. */
export function findGaps(reality: Reality): readonly string[] {
  return [
    ...messageGaps(),
    ...columnGaps("control", controlColumns, reality.controlColumns),
    ...columnGaps("data", dataColumns, reality.dataColumns),
    ...controlGaps(reality.controlColumns),
    ...differences(Object.keys(logFields), reality.logFields, "log.", "contracts/base/log-fields.ts"),
    ...differences(Object.keys(auditFields), reality.auditFields, "audit.", "contracts/audit/record.ts"),
  ];
}

function messageGaps(): string[] {
  const fields = messageFields();
  const remedy = (name: string) =>
    name.startsWith("biplane.")
      ? "give it the option (biplane.classes.v1.class) in its .proto file"
      : `add it to ${folder}/flyte-fields.ts`;
  const known = new Set(fields.map(({ name }) => name));
  return [
    ...fields
      .filter((field) => field.class === undefined)
      .map(({ name }) => `${name} has no class: ${remedy(name)}.`),
    ...fields.flatMap(({ name, class: own, holds }) =>
      own === undefined || holds === undefined || sensitivity(own) >= sensitivity(holds)
        ? []
        : [`${name} is ${own}, but holds what is ${holds}: give it that class.`],
    ),
    ...tabledFields()
      .filter((name) => !known.has(name))
      .map((name) => `${name} is no field of a served message: take it out of ${folder}/flyte-fields.ts.`),
    ...repeated(tabledFields()).map((name) => `${name} has two classes in ${folder}/flyte-fields.ts.`),
  ];
}

/** What may be known counts alike: a list of runs may be reached through a field of the platform. */
function sensitivity(one: (typeof dataClasses)[number]): number {
  return isKnowable(one) ? 0 : dataClasses.indexOf(one);
}

function columnGaps(plane: "control" | "data", tables: Columns, real: readonly RealColumn[]): string[] {
  const file = `${folder}/${plane}-columns.ts`;
  const registered = columnsOf(tables);
  const typeOf = new Map(real.map(({ name, type }) => [name, type]));
  return [
    ...differences(
      registered.map(([name]) => name),
      real.map(({ name }) => name),
      `${plane}.`,
      file,
    ),
    ...registered
      .filter(([, column]) => !isKeptRightly(column))
      .map(([name, column]) => `${plane}.${name} is ${column.class} and plain: seal it, or hash it.`),
    ...registered
      .filter(([name, { kept }]) => kept === "sealed" && (typeOf.get(name) ?? "bytea") !== "bytea")
      .map(
        ([name]) => `${plane}.${name} is sealed, but of type ${typeOf.get(name)}: sealed columns are bytea.`,
      ),
  ];
}

function controlGaps(real: readonly RealColumn[]): string[] {
  const free = new Set(real.filter(({ type }) => /^(text|varchar|bytea|json|char)/.test(type)).map(nameOf));
  return columnsOf(controlColumns).flatMap(([name, { class: one, rule }]) => [
    ...(isKnowable(one) ? [] : [`control.${name} is ${one}: a control plane may not keep it (claim CLS-2).`]),
    ...(free.has(name) && rule === undefined
      ? [`control.${name} could hold anything: say what in ${folder}/control-columns.ts (claim CLS-2).`]
      : []),
  ]);
}

function columnsOf(tables: Columns) {
  return Object.entries(tables).flatMap(([table, columns]) =>
    Object.entries(columns).map(([name, column]) => [`${table}.${name}`, column] as const),
  );
}

function nameOf({ name }: RealColumn): string {
  return name;
}

function differences(
  registered: readonly string[],
  real: readonly string[],
  prefix: string,
  file: string,
): string[] {
  const known = new Set(registered);
  const existing = new Set(real);
  return [
    ...[...existing]
      .filter((name) => !known.has(name))
      .map((name) => `${prefix}${name} has no class: add it to ${file}.`),
    ...[...known]
      .filter((name) => !existing.has(name))
      .map((name) => `${prefix}${name} does not exist any more: take it out of ${file}.`),
  ];
}

function repeated(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}
