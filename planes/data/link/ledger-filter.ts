/** Which messages of the ledger are about a run: those that hold a reference to it, at any depth. */
import {
  file_biplane_control_v1_audit,
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
  type RunRef,
  RunRefSchema,
  readField,
} from "@biplane/control-wire";
import type { border } from "@biplane/data-wire";
import { createRegistry, type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";

const registry = createRegistry(
  file_biplane_control_v1_audit,
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
);

export function mentionsRun(entry: border.LedgerEntry, run: string): boolean {
  const schema = registry.getMessage(entry.messageType);
  if (schema === undefined) return false;
  const message = readable(schema, entry.message);
  return message === undefined || mentions(schema, message, run);
}

/** Undefined for what the other plane made unreadable: nobody knows what it mentions, so it is shown. */
function readable(schema: DescMessage, bytes: Uint8Array): Message | undefined {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}

function mentions(schema: DescMessage, message: Message, run: string): boolean {
  if (schema.typeName === RunRefSchema.typeName) return (message as RunRef).name === run;
  return schema.fields.some((field) => {
    const inner = field.message;
    const value = inner === undefined ? undefined : readField(field, message);
    if (inner === undefined || value === undefined) return false;
    const values = Array.isArray(value) ? value : [value];
    return values.some((one) => mentions(inner, one as Message, run));
  });
}
