/** Names that are no names, and requests made from their descriptors that hold one of them in any text. */
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

export const badNames: Readonly<Record<string, string>> = {
  "a slash": "a/b",
  "a way up": "..",
  "a way up and down": "../../etc/passwd",
  "a NUL": "a\0b",
  "a line end": "a\r\nb: c",
  "a letter that looks like another": "\u0430dmin",
  "letters that are read backwards": "\u202enimda",
  "a name of the language": "__proto__",
  "a piece of SQL": "a'; drop table runs; --",
  "10,000 characters": "a".repeat(10_000),
};

/** What no text of a request may lead to. */
export const failures = new Set<Code | "ok">([Code.Internal, Code.Unknown, Code.DataLoss]);

const honest: Readonly<Record<string, string>> = {
  org: "acme",
  organization: "acme",
  project: "flights",
  projectId: "flights",
  domain: "development",
  version: "1",
};
const depthMax = 3;

export type Values = Record<string, unknown>;

/** Paths of all texts in a message, as far down as names are. */
export function textsOf(message: DescMessage, depth = 0): string[][] {
  if (depth > depthMax) return [];
  return message.fields.flatMap((field) => {
    if (isText(field)) return [[field.localName]];
    const inner = innerOf(field);
    if (inner === undefined) return [];
    return textsOf(inner, depth + 1).map((path) => [field.localName, ...path]);
  });
}

const isText = (field: DescField) =>
  (field.fieldKind === "scalar" || field.fieldKind === "list") && "scalar" in field && field.scalar === 9;
const innerOf = (field: DescField) =>
  field.fieldKind === "message" || (field.fieldKind === "list" && field.listKind === "message")
    ? field.message
    : undefined;

/** A message with the text at `path`, and honest names beside it. */
export function withText(message: DescMessage, path: readonly string[], text: string): Values {
  const [head, ...rest] = path;
  const values: Values = {};
  for (const field of message.fields) {
    const isHere = field.localName === head;
    if (isHere) put(values, field, rest.length === 0 ? text : withText(innerOf(field)!, rest, text));
    else if (field.oneof === undefined && isText(field) && field.fieldKind === "scalar") {
      values[field.localName] = honest[field.localName] ?? "r1";
    } else if (field.oneof === undefined && field.fieldKind === "message" && /[iI]d$/.test(field.localName)) {
      values[field.localName] = withText(field.message, [], "");
    }
  }
  return values;
}

function put(values: Values, field: DescField, value: unknown): void {
  const whole = field.fieldKind === "list" ? [value] : value;
  if (field.oneof === undefined) values[field.localName] = whole;
  else values[field.oneof.localName] = { case: field.localName, value: whole };
}
