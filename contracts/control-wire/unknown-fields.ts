import type { DescMessage, Message } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

/**
 * Path of the first field that the schema does not know, at any depth, e.g. `events[3].run_created.99`;
 * undefined where every field is known. A border that passed unknown fields on would carry anything (claim CLS-2).
 */
export function findUnknownField(schema: DescMessage, message: Message): string | undefined {
  return visit(reflect(schema, message), "");
}

function visit(message: ReflectMessage, path: string): string | undefined {
  const unknown = message.getUnknown()?.[0];
  if (unknown !== undefined) return `${path}${unknown.no}`;
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const found = visitValue(message.get(field), `${path}${field.name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function visitValue(value: unknown, path: string): string | undefined {
  if (isReflectMessage(value)) return visit(value, `${path}.`);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return undefined;
  if (!(Symbol.iterator in value)) return undefined;
  let index = 0;
  for (const item of value as Iterable<unknown>) {
    const element = Array.isArray(item) ? item[1] : item;
    const found = visitValue(element, `${path}[${index}]`);
    if (found !== undefined) return found;
    index += 1;
  }
  return undefined;
}
