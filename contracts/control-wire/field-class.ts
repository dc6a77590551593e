/** The class that a field of our own protocols declares by its option (claims CLS-1, CLS-2). */
import type { DataClass } from "@biplane/base";
import { type DescField, type DescMessage, getOption, hasOption } from "@bufbuild/protobuf";
import { Class, class$ } from "./gen/biplane/classes/v1/classes_pb.ts";

const names: Readonly<Record<Class, DataClass | undefined>> = {
  [Class.UNSPECIFIED]: undefined,
  [Class.PUBLIC]: "public",
  [Class.PLATFORM]: "platform",
  [Class.ORCHESTRATION]: "orchestration",
  [Class.INLINE_CUSTOMER]: "inline_customer",
  [Class.BULK_CUSTOMER]: "bulk_customer",
  [Class.CAPABILITY]: "capability",
};

/** Undefined where it declares none. */
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

/** Fields without presence hold their type's zero where nothing was sent. */
export function isSet(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === 0n || value === false) return false;
  return !(Array.isArray(value) || value instanceof Uint8Array) || value.length > 0;
}
