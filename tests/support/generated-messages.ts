/**
 * Messages of the control wire made from their schemas, for tests that must not forget one: whole ones that keep to every
 * rule, and the same with one unknown field in one of the messages inside.
 */
import { findViolation } from "@biplane/control-wire";
import {
  clone,
  create,
  type DescField,
  type DescMessage,
  type Message,
  ScalarType,
  type UnknownField,
} from "@bufbuild/protobuf";

/** With every field set; one for each member of a `oneof`. */
export function wholeMessages(schema: DescMessage): readonly Message[] {
  const always = schema.fields.filter(({ oneof }) => oneof === undefined);
  const fields: Record<string, unknown> = {};
  for (const field of always) fields[field.localName] = fill(field);
  const choices = schema.oneofs[0]?.fields ?? [];
  if (schema.oneofs.length > 1) throw new Error(`${schema.typeName} has two choices: extend the generator.`);
  if (choices.length === 0) return [create(schema, fields as never)];
  return choices.map((field) => {
    const choice = { case: field.localName, value: fill(field) };
    return create(schema, { ...fields, [field.oneof!.localName]: choice } as never);
  });
}

/** Of a list of messages every kind is in it. */
function fill(field: DescField): unknown {
  if (field.fieldKind === "map") throw new Error(`${field} is a map: the control wire has none.`);
  if (field.message !== undefined) {
    const all = wholeMessages(field.message);
    if (field.fieldKind === "list") return all;
    if (all.length !== 1) throw new Error(`${field} has several kinds: extend the generator.`);
    return all[0];
  }
  const value = field.enum === undefined ? fittingValue(field) : field.enum.values.at(-1)!.number;
  return field.fieldKind === "list" ? [value] : value;
}

const word = "a";
const candidates: Readonly<Partial<Record<ScalarType, readonly unknown[]>>> = {
  [ScalarType.STRING]: [word, "a.b.c", '{"keys":[]}'],
  [ScalarType.BYTES]: [32, 16, 64].map((length) => new Uint8Array(length).fill(7)),
  [ScalarType.BOOL]: [true],
  [ScalarType.INT32]: [1],
  [ScalarType.INT64]: [1n],
  [ScalarType.UINT32]: [1],
  [ScalarType.UINT64]: [1n],
};

/** The first candidate that the field's rule allows. */
function fittingValue(field: DescField): unknown {
  const fitting = candidates[field.scalar!]?.find((value) => {
    const held = field.fieldKind === "list" ? [value] : value;
    const choice = { case: field.localName, value: held };
    const fields =
      field.oneof === undefined ? { [field.localName]: held } : { [field.oneof.localName]: choice };
    const path = findViolation(field.parent, create(field.parent, fields as never))?.path;
    // Another field's rule may ask for more than nothing.
    return path === undefined || path.split(/[.[]/)[0] !== field.name;
  });
  if (fitting === undefined) throw new Error(`No value fits ${field}: give the generator one.`);
  return fitting;
}

export interface Spoiled {
  /** Where the unknown field is, as a refusal names it. */
  readonly path: string;
  readonly message: Message;
}

export const unknownNumber = 1999;
const unknownField: UnknownField = {
  no: unknownNumber,
  wireType: 2,
  data: new Uint8Array([5, ...Buffer.from("inner")]),
};

/** One for each message inside the message, itself first: the same with an unknown field there. */
export function spoiledMessages(schema: DescMessage, whole: Message): readonly Spoiled[] {
  return nodesOf(schema, whole).map(({ path }, index) => {
    const message = clone(schema, whole);
    nodesOf(schema, message)[index]!.node.$unknown = [unknownField];
    return { path: [...path, unknownNumber].join("."), message };
  });
}

interface Node {
  readonly path: readonly string[];
  readonly node: Message;
}

function nodesOf(schema: DescMessage, node: Message, path: readonly string[] = []): Node[] {
  const below = schema.fields.flatMap((field) => {
    const { message } = field;
    const value = message === undefined ? undefined : held(field, node);
    if (message === undefined || value === undefined) return [];
    if (!Array.isArray(value)) return nodesOf(message, value as Message, [...path, field.name]);
    return value.flatMap((item: Message, index) =>
      nodesOf(message, item, [...path, `${field.name}[${index}]`]),
    );
  });
  return [{ path, node }, ...below];
}

function held(field: DescField, message: Message): unknown {
  const record = message as unknown as Record<string, unknown>;
  if (field.oneof === undefined) return record[field.localName];
  const choice = record[field.oneof.localName] as { case?: string; value?: unknown };
  return choice.case === field.localName ? choice.value : undefined;
}

/** For the table of a test: every kind of the message with its title. */
export function namedMessages(schema: DescMessage): readonly (readonly [title: string, message: Message])[] {
  return wholeMessages(schema).map((message) => {
    const { message: choice } = message as unknown as { message?: { case?: string } };
    return [choice?.case === undefined ? schema.name : `${schema.name}, ${choice.case}`, message] as const;
  });
}
