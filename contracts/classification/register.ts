/**
 * The register as one list (claim CLS-1): fields of served messages, columns of both databases, log fields, audit fields.
 * Each has exactly one class. Knows the data wire: a control plane takes its parts one by one.
 */
import { auditFields } from "@biplane/audit";
import { type DataClass, logFields, loggerFields } from "@biplane/base";
import type { Columns, Kept } from "./columns.ts";
import { controlColumns } from "./control-columns.ts";
import { dataColumns } from "./data-columns.ts";
import { messageFields } from "./messages.ts";

export type RegisterKind = "message" | "control-column" | "data-column" | "log" | "audit";

export interface RegisterRow {
  readonly kind: RegisterKind;
  /** As `flyteidl2.task.RunSpec.envs`, `control.run.phase`, `data.run.detail`, `log.event`, `audit.subject`. */
  readonly name: string;
  readonly class: DataClass;
  /** Of messages: the field's type. */
  readonly type?: string;
  /** Of columns. */
  readonly kept?: Kept;
  /** Of columns with a rule: what they may hold. */
  readonly holds?: string;
}

export function registerRows(): readonly RegisterRow[] {
  return [
    ...messageFields().flatMap(({ name, type, class: one }) =>
      one === undefined ? [] : [{ kind: "message", name, class: one, type } as const],
    ),
    ...columnRows("control", controlColumns),
    ...columnRows("data", dataColumns),
    ...plainRows("log", { ...loggerFields, ...logFields }),
    ...plainRows("audit", auditFields),
  ];
}

function columnRows(plane: "control" | "data", tables: Columns): RegisterRow[] {
  return Object.entries(tables).flatMap(([table, columns]) =>
    Object.entries(columns).map(([name, { class: one, kept, rule }]) => ({
      kind: `${plane}-column` as const,
      name: `${plane}.${table}.${name}`,
      class: one,
      kept,
      ...(rule === undefined ? {} : { holds: rule.rule }),
    })),
  );
}

function plainRows(kind: "log" | "audit", fields: Readonly<Record<string, DataClass>>): RegisterRow[] {
  return Object.entries(fields).map(([name, one]) => ({ kind, name: `${kind}.${name}`, class: one }));
}
