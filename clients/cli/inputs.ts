/** A task's inputs on the command line: an option for each, checked and converted by the task's own types. */
import { stat } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import { DataFrame, Dir, Duration, File } from "@biplane/sdk";
import type { Uploader } from "@biplane/sdk/remote";
import { describeType, type ObjectField, resolveType, type ValueType } from "@biplane/sdk/types/value-type";
import { type Command, Option } from "commander";

type Given = Readonly<Record<string, string | readonly string[] | true | undefined>>;

export function addInputOptions(command: Command, fields: readonly ObjectField[]): void {
  for (const field of fields) command.addOption(optionOf(field));
}

function optionOf(field: ObjectField): Option {
  const type = innerType(field.type);
  const placeholder = type.kind === "boolean" ? "[true|false]" : `<${placeholderOf(type)}>`;
  const option = new Option(`--${optionName(field.name)} ${placeholder}`, helpOf(field));
  if (type.kind === "enum") option.choices([...type.values]);
  if (type.kind === "list")
    option.argParser((text: string, before?: readonly string[]) => [...(before ?? []), text]);
  return option;
}

/** After parsing: a mistyped option is told before the one that it should have been is missed. All that miss at once. */
export function requireInputs(command: Command, fields: readonly ObjectField[]): void {
  const given: Given = command.opts();
  const missing = fields.filter((field) => isRequired(field) && given[givenName(field.name)] === undefined);
  if (missing.length === 0) return;
  const names = missing.map(
    (field) => `--${optionName(field.name)} <${placeholderOf(innerType(field.type))}>`,
  );
  const what = names.length === 1 ? "A required input is missing" : "Required inputs are missing";
  command.error(`error: ${what}: ${names.join(", ")}`, { code: "commander.missingMandatoryOptionValue" });
}

function placeholderOf(type: ValueType): string {
  if (type.kind === "list") return "value...";
  return (
    { file: "path", directory: "folder", dataFrame: "path", datetime: "time" }[type.kind as string] ??
    type.kind
  );
}

function helpOf(field: ObjectField): string {
  const parts = [field.description === field.name ? undefined : field.description, describeType(field.type)];
  if (isRequired(field)) parts.push("required");
  if (field.defaultValue !== undefined) parts.push(`default ${String(field.defaultValue)}`);
  return parts.filter((part) => part !== undefined && part !== "").join("; ");
}

function isRequired(field: ObjectField): boolean {
  return field.defaultValue === undefined && resolveType(field.type).kind !== "optional";
}

/** `maxRows` is `--max-rows`. */
export function optionName(field: string): string {
  return field
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase();
}

function givenName(field: string): string {
  return optionName(field).replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function innerType(type: ValueType): Exclude<ValueType, { kind: "lazy" }> {
  const resolved = resolveType(type);
  return resolved.kind === "optional" ? innerType(resolved.of) : resolved;
}

/** Values for the task; local files are uploaded on the way. */
export async function readInputs(
  fields: readonly ObjectField[],
  given: Given,
  uploader: Uploader,
): Promise<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const text = given[givenName(field.name)];
    if (text === undefined) continue;
    values[field.name] = await parseGiven(field, text, uploader);
  }
  return values;
}

async function parseGiven(
  field: ObjectField,
  text: string | readonly string[] | true,
  uploader: Uploader,
): Promise<unknown> {
  const type = innerType(field.type);
  if (text === true) return true;
  if (typeof text === "string") return parseValue(type, text, `--${optionName(field.name)}`, uploader);
  const [only] = text;
  const place = `--${optionName(field.name)}`;
  if (text.length === 1 && only?.trimStart().startsWith("[") === true) return parseJson(only, place);
  const itemType: ValueType = type.kind === "list" ? type.of : type;
  return Promise.all(text.map((item) => parseValue(innerType(itemType), item, place, uploader)));
}

type Parser = (text: string, uploader: Uploader) => unknown;

const parsers: Readonly<Record<string, Parser | undefined>> = {
  string: (text) => text,
  enum: (text) => text,
  integer: (text) =>
    /^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined,
  bigint: (text) => (/^[+-]?\d+$/.test(text) ? BigInt(text) : undefined),
  float: (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? undefined : Number(text)),
  boolean: (text) => ({ true: true, false: false })[text],
  datetime: (text) => (Number.isNaN(Date.parse(text)) ? undefined : new Date(text)),
  duration: parseDuration,
  bytes: (text) => Buffer.from(text, "base64"),
  file: async (text, uploader) => new File(isUri(text) ? text : await uploader.file(text)),
  dataFrame: async (text, uploader) =>
    new DataFrame(
      isUri(text)
        ? text
        : (await stat(text)).isDirectory()
          ? await uploader.folder(text)
          : await uploader.file(text),
    ),
  directory: async (text, uploader) => new Dir(isUri(text) ? text : await uploader.folder(text)),
  union: (text) => jsonOrText(text),
  any: (text) => jsonOrText(text),
  none: () => undefined,
};

const hints: Readonly<Record<string, string | undefined>> = {
  duration: "Write it like 90s, 1.5h or 500ms.",
  datetime: "Write it like 2026-01-31 or 2026-01-31T08:00:00Z.",
  integer: "It is a whole number of at most 15 digits; tasks take larger ones as z.bigint().",
};

async function parseValue(
  type: ValueType,
  text: string,
  place: string,
  uploader: Uploader,
): Promise<unknown> {
  const parser = parsers[type.kind];
  if (parser === undefined) return parseJson(text, place);
  const value = await parser(text, uploader);
  if (value !== undefined || type.kind === "none") return value;
  throw new BiplaneError("invalid_argument", {
    what: `${place} has to be of type ${describeType(type)}, not ${JSON.stringify(text)}.`,
    ...(hints[type.kind] === undefined ? {} : { next: hints[type.kind] }),
  });
}

/** Whether it is the address of something stored already. */
function isUri(text: string): boolean {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme === undefined || scheme === "s3") return scheme === "s3";
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(text)} is neither a path on this machine nor an s3:// address that the data plane holds.`,
    next: "Download it first, and give its path.",
  });
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `1h30m`, `90s`, `500ms`. */
export function parseDuration(text: string): Duration | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== text) return undefined;
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ""] ?? 0), 0);
  return Duration.milliseconds(ms);
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BiplaneError("invalid_argument", {
      what: `${place} has to be JSON.`,
      next: `For example --name '{"key": 1}' or --name '[1, 2]'.`,
    });
  }
}
