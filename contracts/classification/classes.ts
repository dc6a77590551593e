/** The class that a field of our own protocols declares, and the classes of what a message holds. */
import type { DataClass } from "@biplane/base";
import { Class, class$, readField } from "@biplane/control-wire";
import { type DescField, type DescMessage, getOption, hasOption, type Message } from "@bufbuild/protobuf";

const names: Readonly<Record<Class, DataClass | undefined>> = {
  [Class.UNSPECIFIED]: undefined,
  [Class.PUBLIC]: "public",
  [Class.PLATFORM]: "platform",
  [Class.ORCHESTRATION]: "orchestration",
  [Class.INLINE_CUSTOMER]: "inline_customer",
  [Class.BULK_CUSTOMER]: "bulk_customer",
  [Class.CAPABILITY]: "capability",
};

/** By the field's option; undefined where it has none. */
export function declaredClass(field: DescField): DataClass | undefined {
  return hasOption(field, class$) ? names[getOption(field, class$)] : undefined;
}

const valueTypes: ReadonlySet<string> = new Set(
  ["Timestamp", "Duration", "BoolValue", "StringValue", "BytesValue", "FloatValue", "DoubleValue"]
    .concat(["Int32Value", "UInt32Value", "Int64Value", "UInt64Value"])
    .map((name) => `google.protobuf.${name}`),
);

/** Well-known types that are values, as time stamps: their class is that of the field which holds them. */
export function isValueType(message: DescMessage): boolean {
  return valueTypes.has(message.typeName);
}

/** The message that a field holds, also as an item or as a map's value; undefined for values. */
export function heldMessage(field: DescField): DescMessage | undefined {
  return field.message === undefined || isValueType(field.message) ? undefined : field.message;
}

/** Classes of the fields that are set in a message of the control wire, at any depth. */
export function classesOf(schema: DescMessage, message: Message): ReadonlySet<DataClass> {
  const found = new Set<DataClass>();
  collect(schema, message, found);
  return found;
}

function collect(schema: DescMessage, message: Message, found: Set<DataClass>): void {
  for (const field of schema.fields) {
    const value = readField(field, message);
    if (!isSet(value)) continue;
    const declared = declaredClass(field);
    if (declared !== undefined) found.add(declared);
    const held = heldMessage(field);
    if (held === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) collect(held, one as Message, found);
  }
}

/** Fields without presence hold their type's zero where nothing was sent. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === 0n || value === false) return false;
  return !(Array.isArray(value) || value instanceof Uint8Array) || value.length > 0;
}
