/** CLS-2: the control plane's protocol has no field for customer data, and its database holds none. */
import { readFileSync } from "node:fs";
import { columnAt } from "@biplane/classification";
import type { Claim } from "../frame/claim.ts";
import { openedTables } from "../scenes/control-plane-copy.ts";
import { embeddedDescriptors } from "../search/descriptors.ts";
import type { OpenedTable } from "../search/opened-rows.ts";

/** Its own protocol; times, JSON and errors of the Protobuf runtime and Connect, which no field of it holds. */
const own =
  /^(biplane\/(classes|control)\/v1\/|google\/protobuf\/(any|struct|timestamp|descriptor)\.proto$|status\.proto$)/;

export const cls2: Claim = {
  id: "CLS-2",
  text: "No customer-data field is ever accepted, produced or stored by the control plane: its protocol has none.",
  from: "machine",
  msMax: 180_000,

  async prove(subject, seen) {
    const { program } = subject.planes.control;
    const { files, services } = embeddedDescriptors(readFileSync(program, "utf8"));
    seen.holds(
      `decoded every message descriptor in ${program}`,
      files.length > 3,
      `${files.length} files, services ${services.join(", ")}`,
    );
    seen.none("looked for any that are not of its own small protocol", foreign(files));
    const tables = await subject.scene(openedTables);
    const { checked, problems } = judgeValues(tables);
    seen.none(
      `compared ${checked} values of ${tables.length} tables, decrypted, with what the register lets each column hold`,
      problems,
    );
  },

  async control(subject, seen) {
    const { files } = embeddedDescriptors(readFileSync(subject.planes.data.program, "utf8"));
    const isBundleFound = seen.caught(
      "a program that links the data plane's messages, looked into in the same way",
      foreign(files),
      /flyteidl2/,
    );
    const planted = [
      { table: "run", columns: ["name"], rows: [{ name: "Patient 4711: all of the record" }] },
    ];
    return (
      seen.caught("customer data in a column of names", judgeValues(planted).problems, /run\.name/) &&
      isBundleFound
    );
  },
};

function foreign(files: readonly string[]): string[] {
  return files.filter((name) => !own.test(name)).map((name) => `${name} is in the program`);
}

function judgeValues(tables: readonly OpenedTable[]): { checked: number; problems: string[] } {
  const problems: string[] = [];
  let checked = 0;
  for (const { table, rows } of tables) {
    for (const [column, value] of rows.flatMap((row) => Object.entries(row))) {
      const rule = columnAt(table, column)?.rule;
      if (rule === undefined || value === null) continue;
      checked += 1;
      if (!rule.holds(value as never))
        problems.push(`${table}.${column} holds something else than ${rule.rule}`);
    }
  }
  return { checked, problems };
}
