/** The classes of what a message of the control wire holds: the marks of the border ledger. */
import { type DataClass, dataClasses } from "@biplane/base";
import { declaredClass, isSet, isValueType, readField } from "@biplane/control-wire";
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";

/** The message that a field holds, also as an item or as a map's value; undefined for values. */
export function heldMessage(field: DescField): DescMessage | undefined {
  return field.message === undefined || isValueType(field.message) ? undefined : field.message;
}

/** Classes of the fields that are set in the message, at any depth; what may be known of most comes first. */
export function classesOf(schema: DescMessage, message: Message): readonly DataClass[] {
  const found = new Set<DataClass>();
  collect(schema, message, found);
  return dataClasses.filter((one) => found.has(one));
}

function collect(schema: DescMessage, message: Message, found: Set<DataClass>): void {
  for (const field of schema.fields) {
    const value = readField(field, message);
    const declared = declaredClass(field);
    if (!isSet(value) || declared === undefined) continue;
    const held = heldMessage(field);
    if (held === undefined) found.add(declared);
    else for (const one of Array.isArray(value) ? value : [value]) collect(held, one as Message, found);
  }
}
