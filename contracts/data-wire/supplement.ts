import { type DescMessage, fromBinary, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";

/**
 * Fields that a newer peer sent and the published Flyte types lack are kept as unknown fields. This reads them by
 * parsing the same bytes with one of our supplement messages (`proto/biplane/supplement/v1`).
 */
export function readSupplement<S extends DescMessage>(message: Message, supplement: S): MessageShape<S> {
  const chunks: Uint8Array[] = [];
  for (const field of message.$unknown ?? []) {
    chunks.push(encodeTag(field.no, field.wireType), field.data);
  }
  return fromBinary(supplement, Buffer.concat(chunks), { readUnknownFields: false });
}

/** Adds the supplement's fields to the message, so that a newer peer reads them when it is serialized. */
export function appendSupplement<M extends Message, S extends DescMessage>(
  message: M,
  schema: S,
  supplement: MessageShape<S>,
): M {
  const holder = fromBinary(emptyLike(schema), toBinary(schema, supplement)) as Message;
  message.$unknown = [...(message.$unknown ?? []), ...(holder.$unknown ?? [])];
  return message;
}

/** A message type without fields, through which every field arrives as an unknown one. */
function emptyLike(schema: DescMessage): DescMessage {
  return { ...schema, fields: [], field: {}, oneofs: [], members: [] };
}

function encodeTag(fieldNumber: number, wireType: number): Uint8Array {
  const bytes: number[] = [];
  let rest = (fieldNumber << 3) | wireType;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
