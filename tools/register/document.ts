/** `npm run classes`: writes the register as a page of the documentation. A boundary test fails where it is behind. */
import { writeFileSync } from "node:fs";
import { type DataClass, dataClasses } from "@biplane/base";
import { type RegisterRow, registerRows } from "@biplane/classification/register";

export const documentPath = "docs/classification.md";

const meanings: Readonly<Record<DataClass, string>> = {
  public: "Anyone may know it: versions of the protocol, documented constants.",
  platform: "About the installation: clusters, addresses, regions, subjects, health.",
  orchestration: "About the work, without its content: names, digests, phases, times, counts, codes.",
  inline_customer: "Customer data inside a message or a row: inputs, outputs, specs, error texts, log lines.",
  bulk_customer: "Customer data as objects: files, data frames, bundles, reports.",
  capability: "Whatever grants by possession: tokens, signed URLs, credentials.",
};

const introduction = `# Classification

Every field of every served message, every column of both databases, every field of a log line and of an audit record
belongs to exactly one class. This page is written by \`npm run classes\` from the register that the programs themselves
use; \`biplane classes [FIELD]\` prints the same. A field without a class ends the build.

${table(
  ["Class", "What it is", "May reach the control plane"],
  dataClasses.map((one) => [code(one), meanings[one], dataClasses.indexOf(one) < 3 ? "yes" : "never"]),
)}
Follow from the register: what the guard at either end of the link lets pass, which fields a log line keeps, which columns
are encrypted, what the control plane's columns may hold, and the marks of the border ledger. A field that holds a message
is as sensitive as the most sensitive thing in it; time stamps, durations and wrapped values have the class of the field
that holds them.
`;

export function documentText(): string {
  const rows = registerRows();
  const of = (kind: RegisterRow["kind"]) => rows.filter((row) => row.kind === kind);
  return [
    introduction,
    "## The control plane's database\n",
    columnTable(of("control-column")),
    "## The data plane's database\n",
    columnTable(of("data-column")),
    "## Log lines\n",
    classTable(of("log")),
    "## Audit records\n",
    classTable(of("audit")),
    "## Messages\n",
    ...messageTables(of("message")),
  ].join("\n");
}

function columnTable(rows: readonly RegisterRow[]): string {
  const cells = rows.map((row) => [
    code(row.name.replace(/^[a-z]+\./, "")),
    code(row.class),
    row.kept ?? "",
    row.holds ?? "",
  ]);
  return table(["Column", "Class", "Kept", "May hold"], cells);
}

function classTable(rows: readonly RegisterRow[]): string {
  return table(
    ["Class", "Fields"],
    byClass(rows).map(([one, names]) => [code(one), names]),
  );
}

/** One table for each package, one line for each class of each message. */
function messageTables(rows: readonly RegisterRow[]): string[] {
  const packages = Map.groupBy(rows, ({ name }) => packageOf(name));
  return [...packages].map(([name, fields]) => {
    const messages = Map.groupBy(fields, (row) => row.name.slice(name.length + 1).replace(/\.[^.]+$/, ""));
    const cells = [...messages].flatMap(([message, own]) =>
      byClass(own).map(([one, names], index) => [index === 0 ? code(message) : "", code(one), names]),
    );
    return `### ${name}\n\n${table(["Message", "Class", "Fields"], cells)}`;
  });
}

/** The words in lower case at the beginning: messages begin with a capital. */
function packageOf(name: string): string {
  return /^(?:[a-z0-9_]+\.)*[a-z0-9_]+(?=\.[A-Z])/.exec(name)?.[0] ?? "";
}

function byClass(rows: readonly RegisterRow[]): [DataClass, string][] {
  return dataClasses.flatMap((one): [DataClass, string][] => {
    const names = rows.filter((row) => row.class === one).map(({ name }) => code(name.split(".").at(-1)!));
    return names.length === 0 ? [] : [[one, names.join(", ")]];
  });
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return `${line(heads)}${line(heads.map(() => "---"))}${rows.map(line).join("")}`;
}

function code(text: string): string {
  return `\`${text}\``;
}

if (import.meta.main) writeFileSync(documentPath, documentText());
