/**
 * What a message may hold beside the fields of its schema: nothing. A border that passed unknown fields on would carry
 * anything (claim CLS-2). Walks the plain objects that protobuf-es decodes into, since every message is walked twice.
 */
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";

type Walk = (message: Message) => string | undefined;
interface Member {
  readonly name: string;
  read(message: Message): unknown;
  readonly walk: Walk;
}

const walks = new WeakMap<DescMessage, Walk>();

/**
 * Path of the first field that the schema does not know, at any depth, e.g. `events[3].run_created.99`;
 * undefined where every field is known.
 */
export function findUnknownField(schema: DescMessage, message: Message): string | undefined {
  return walkOf(schema)(message);
}

/** A field's value by its descriptor, also where it is one of several; undefined where another one is set. */
export function readField(field: DescField, message: Message): unknown {
  const record = message as unknown as Record<string, unknown>;
  if (field.oneof === undefined) return record[field.localName];
  const choice = record[field.oneof.localName] as { case?: string; value?: unknown } | undefined;
  return choice?.case === field.localName ? choice.value : undefined;
}

function walkOf(schema: DescMessage): Walk {
  let walk = walks.get(schema);
  if (walk === undefined) {
    const members = schema.fields.flatMap(memberOf);
    walk = (message) => findIn(members, message);
    walks.set(schema, walk);
  }
  return walk;
}

function findIn(members: readonly Member[], message: Message): string | undefined {
  const unknown = message.$unknown?.[0];
  if (unknown !== undefined) return `${unknown.no}`;
  for (const member of members) {
    const found = findInMember(member, member.read(message));
    if (found !== undefined) return found;
  }
  return undefined;
}

function findInMember(member: Member, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) return prefixed(member.name, member.walk(value as Message));
  for (const [index, item] of value.entries()) {
    const found = prefixed(`${member.name}[${index}]`, member.walk(item));
    if (found !== undefined) return found;
  }
  return undefined;
}

function prefixed(name: string, path: string | undefined): string | undefined {
  return path === undefined ? undefined : `${name}.${path}`;
}

/** Fields that hold messages; the control wire has no maps (the boundary tests hold it to that). */
function memberOf(field: DescField): Member[] {
  const { message } = field;
  if (message === undefined) return [];
  return [
    {
      name: field.name,
      read: (holder) => readField(field, holder),
      walk: (held) => walkOf(message)(held),
    },
  ];
}
