/** Names that the sources use: fields of log lines, and fields of an audit record. */
import { globSync, readFileSync } from "node:fs";
import { parseSync } from "oxc-parser";

interface Node {
  readonly type: string;
  readonly [member: string]: unknown;
}

const processes = "{kit,planes,tunnel,worker,clients}/**/*.ts";

/** Every log line says its `event`: the other properties beside it are its fields. */
export function readLogFields(): readonly string[] {
  const found = new Set<string>();
  const paths = globSync(processes, { exclude: (path) => String(path).includes("node_modules") });
  for (const path of paths.map(String).sort()) {
    const text = readFileSync(path, "utf8");
    if (/\.(test|testing)\.ts$/.test(path) || !/\bevent\b/.test(text)) continue;
    visit(parseSync(path, text).program, (node) => {
      const names = propertyNames(node);
      if (names.includes("event")) for (const name of names) found.add(name);
    });
  }
  for (const name of ownLogFields()) found.add(name);
  found.delete("error");
  return [...found];
}

/** What the logger adds to a line, and what it makes of an error. */
function ownLogFields(): string[] {
  const path = "kit/logging.ts";
  const found: string[] = [];
  visit(parseSync(path, readFileSync(path, "utf8")).program, (node) => {
    if (propertyNames(node).some((name) => name === "pid" || name === "errorClass" || name === "errorPlace"))
      found.push(...propertyNames(node));
  });
  return found;
}

export function readAuditFields(): readonly string[] {
  const path = "contracts/audit/record.ts";
  const found: string[] = [];
  visit(parseSync(path, readFileSync(path, "utf8")).program, (node) => {
    if (node.type !== "TSInterfaceDeclaration" || nameOf(node["id"]) !== "AuditRecord") return;
    for (const member of (node["body"] as { body: Node[] }).body) found.push(nameOf(member["key"]) ?? "");
  });
  return found;
}

function propertyNames(node: Node): string[] {
  if (node.type !== "ObjectExpression") return [];
  return (node["properties"] as Node[]).flatMap((property) =>
    property.type === "Property" ? (nameOf(property["key"]) ?? []) : [],
  );
}

function nameOf(node: unknown): string | undefined {
  const { name, value } = node as { name?: string; value?: unknown };
  return name ?? (typeof value === "string" ? value : undefined);
}

function visit(node: unknown, each: (node: Node) => void): void {
  if (typeof node !== "object" || node === null) return;
  if (typeof (node as Node).type === "string") each(node as Node);
  for (const value of Object.values(node)) visit(value, each);
}
