/**
 * What a control plane keeps of a task, a run, an action and an attempt: the fields of their projections, and of its own what
 * it needs to admit a run and to place it (claim CLS-6).
 */
import {
  ActionProjectionSchema,
  AttemptProjectionSchema,
  isSet,
  RunProjectionSchema,
  readField,
  TaskProjectionSchema,
} from "@biplane/control-wire";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { heldMessage } from "./classes.ts";
import { columnAt } from "./control-records.ts";

export const projections = {
  task: TaskProjectionSchema,
  run: RunProjectionSchema,
  action: ActionProjectionSchema,
  attempt: AttemptProjectionSchema,
} as const;

export type ProjectedTable = keyof typeof projections;

/** Columns that no projection brings: how the index came to know the row, and what is due to happen with a run. */
export const ownColumns: Readonly<Record<ProjectedTable, readonly string[]>> = {
  task: [],
  run: [
    ...["incarnation", "admitted_sequence", "seen_in"],
    ...["fence", "intent_nonce", "intent_expires_at", "intent_outcome"],
  ],
  action: ["seen_in"],
  attempt: [],
};

/** A field of a projection, as `task.name`, and the column that holds it. */
export interface ProjectedField {
  readonly path: string;
  /** Undefined where the register has no such column. */
  readonly column: string | undefined;
}

export function projectedFields(table: ProjectedTable): readonly ProjectedField[] {
  return leavesOf(projections[table]).map((path) => ({ path, column: columnOf(table, path) }));
}

function leavesOf(schema: DescMessage, prefix = ""): string[] {
  return schema.fields.flatMap((field) => {
    const held = heldMessage(field);
    return held === undefined ? [`${prefix}${field.name}`] : leavesOf(held, `${prefix}${field.name}.`);
  });
}

/** What the row itself is called stands without a prefix; what it refers to, under the name of the reference. */
function columnOf(table: ProjectedTable, path: string): string | undefined {
  const [first, second] = path.split(".") as [string, string | undefined];
  // Of one organization are both ends of a reference.
  if (second === "org") return "org_id";
  const isOwn = first === table || (first === "run" && second !== "name");
  const name =
    second === undefined || isOwn
      ? (second ?? first)
      : second === "name" && first === "run"
        ? "run"
        : `${first}_${second}`;
  return [name, `${name}_sealed`].find((column) => columnAt(table, column) !== undefined);
}

/** Fields of the record that the row does not bear out, and the other way round; by name, without their values. */
export function findDifferences(
  table: ProjectedTable,
  row: Readonly<Record<string, unknown>>,
  record: Message,
): readonly string[] {
  const schema: DescMessage = projections[table];
  if (record.$typeName !== schema.typeName) return [`${record.$typeName} is no record of ${table}`];
  return projectedFields(table).flatMap(({ path, column }) => {
    const said = normal(valueAt(schema, record, path.split(".")));
    const kept = column === undefined ? undefined : normal(row[column]);
    // A reference to nothing has no organization, though its row has one.
    if (said === undefined && column === "org_id") return [];
    return said === kept ? [] : [`${table}.${path}`];
  });
}

function valueAt(schema: DescMessage, message: Message, path: readonly string[]): unknown {
  const field = schema.fields.find(({ name }) => name === path[0])!;
  const value = readField(field, message);
  if (path.length === 1 || value === undefined) return value;
  return valueAt(field.message!, value as Message, path.slice(1));
}

/** One form for what the wire and the database write differently: times, numbers, bytes; nothing for what was never set. */
function normal(value: unknown): string | undefined {
  if (value === null || !isSet(value)) return undefined;
  if (value instanceof Uint8Array)
    return [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (typeof value === "object") return String(timestampMs(value as Timestamp));
  return String(value);
}
