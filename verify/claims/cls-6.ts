/** CLS-6: what the control plane knows is the documented projection, and anyone may read it. */
import { findDifferences, ownColumns, projectedFields } from "@biplane/classification";
import type { Claim } from "../frame/claim.ts";
import { openedTables } from "../scenes/control-plane-copy.ts";
import { plantedRun } from "../scenes/planted-run.ts";

const tables = ["task", "run", "action", "attempt"] as const;

export const cls6: Claim = {
  id: "CLS-6",
  text: "What the control plane knows of a task and a run is the documented projection and nothing else, and anyone may read it (`--from control-plane`).",
  from: "machine",
  msMax: 180_000,

  async prove(subject, seen) {
    const { run } = await subject.scene(plantedRun);
    const opened = await subject.scene(openedTables);
    for (const table of tables) {
      const columns = opened.find((one) => one.table === table)?.columns ?? [];
      seen.none(
        `compared the ${columns.length} columns of its table ${table} with the documented projection`,
        columns.length === 0 ? ["there is no such table"] : unexpected(table, columns),
      );
    }
    const { records } = subject.connection;
    const { run: record } = await records.getRun({ run: run.id });
    const row = opened.find(({ table }) => table === "run")?.rows.find((one) => one["name"] === run.name);
    const differences =
      record === undefined || row === undefined
        ? ["it does not know the run"]
        : findDifferences("run", row, record);
    seen.none("compared its row of the run with what it says of it, field by field", differences);
    const { actions } = await records.listActions({ run: run.id, page: { limit: 1_000 } });
    const rows =
      opened.find(({ table }) => table === "action")?.rows.filter((one) => one["run"] === run.name) ?? [];
    const unequal = actions.flatMap((action) => {
      const own = rows.find((one) => one["name"] === action.name);
      return own === undefined ? [`${action.name} has no row`] : findDifferences("action", own, action);
    });
    seen.none(`compared its rows of ${actions.length} actions in the same way`, unequal);
  },

  async control(subject, seen) {
    const opened = await subject.scene(openedTables);
    const columns = opened.find(({ table }) => table === "run")?.columns ?? [];
    return seen.caught(
      "a column that nobody documented, in the table of runs",
      unexpected("run", [...columns, "inputs"]),
      /run\.inputs/,
    );
  },
};

function unexpected(table: (typeof tables)[number], columns: readonly string[]): string[] {
  const known = new Set([...projectedFields(table).map(({ column }) => column), ...ownColumns[table]]);
  return columns
    .filter((column) => !known.has(column))
    .map((column) => `${table}.${column} is part of no projection`);
}
