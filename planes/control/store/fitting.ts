/**
 * Nothing is written that the register does not allow its column (claim CLS-2): whatever a data plane sends, and whatever a
 * mistake here makes of it. Stands under every statement that the store runs.
 */
import { BiplaneError } from "@biplane/base";
import { columnAt, unfitRule } from "@biplane/classification";
import type {
  InsertQueryNode,
  KyselyPlugin,
  OperationNode,
  PrimitiveValueListNode,
  RootOperationNode,
  TableNode,
  UpdateQueryNode,
  ValueListNode,
  ValueNode,
} from "kysely";

export const fitting: KyselyPlugin = {
  transformQuery({ node }) {
    checkNode(node);
    return node;
  },
  transformResult: async ({ result }) => result,
};

function checkNode(node: RootOperationNode): void {
  if (node.kind === "InsertQueryNode") checkInsert(node);
  else if (node.kind === "UpdateQueryNode") checkUpdate(node);
}

function checkInsert({ into, columns, values }: InsertQueryNode): void {
  if (into === undefined || values?.kind !== "ValuesNode") return;
  const names = columns?.map(({ column }) => column.name) ?? [];
  const lists = (values as unknown as { values: readonly (PrimitiveValueListNode | ValueListNode)[] }).values;
  for (const list of lists) {
    for (const [index, value] of list.values.entries()) {
      const given = list.kind === "PrimitiveValueListNode" ? value : valueIn(value as OperationNode);
      requireFit(tableOf(into), names[index] ?? "", given);
    }
  }
}

function checkUpdate({ table, updates }: UpdateQueryNode): void {
  if (table?.kind !== "TableNode") return;
  for (const { column, value } of updates ?? []) {
    if (column.kind !== "ColumnNode") continue;
    const { name } = (column as unknown as { column: { name: string } }).column;
    requireFit(tableOf(table as TableNode), name, valueIn(value));
  }
}

/** An expression, such as what another row holds, was checked when that was written. */
function valueIn(node: OperationNode): unknown {
  return node.kind === "ValueNode" ? (node as ValueNode).value : undefined;
}

function tableOf({ table }: TableNode): string {
  return table.identifier.name;
}

/** Throws `invalid_argument`. Sealed values are checked before they are sealed. */
export function requireFit(table: string, name: string, value: unknown, isSealedAlready = true): void {
  const column = columnAt(table, name);
  if (isSealedAlready && column?.kept === "sealed") return;
  const rule = unfitRule(column, value);
  if (rule === undefined) return;
  throw new BiplaneError(
    "invalid_argument",
    {
      what: `A value for ${table}.${name} was not taken.`,
      why: `A control plane keeps there only what is ${rule}.`,
      next: "Give it a name that the documentation allows.",
    },
    { reason: "unfit_value" },
  );
}
