/**
 * The objects that a value refers to: files, directories and data frames, wherever in it they are. A plain string is
 * no reference, even if it reads like one: whoever passes a name has not passed what it names.
 */
import { flyte } from "@biplane/data-wire";
import { fromBinary } from "@bufbuild/protobuf";
import { decode } from "@msgpack/msgpack";

const nestingMax = 64;
const referencesMax = 10_000;
/** Fields of references: Flyte's blobs and structured data sets, and the plain forms of File, Dir and DataFrame. */
const referenceFields = new Set(["uri", "path"]);

/** URIs in `flyteidl2.task.Inputs` in bytes; the first ten thousand. */
export function namedObjects(inputs: Uint8Array): readonly string[] {
  const found = new Set<string>();
  for (const uri of referencesIn(fromBinary(flyte.task.InputsSchema, inputs).literals, 0)) {
    if (found.size >= referencesMax) break;
    found.add(uri);
  }
  return [...found];
}

function* referencesIn(value: unknown, depth: number): Generator<string> {
  if (typeof value !== "object" || value === null || depth > nestingMax) return;
  if (value instanceof Uint8Array) {
    yield* referencesIn(unpack(value), depth + 1);
    return;
  }
  for (const [field, inner] of Object.entries(value)) {
    if (typeof inner === "string" && referenceFields.has(field)) yield inner;
    else yield* referencesIn(inner, depth + 1);
  }
}

/** Structured values are MessagePack in bytes; other bytes refer to nothing. */
function unpack(bytes: Uint8Array): unknown {
  try {
    const value = decode(bytes);
    return value instanceof Uint8Array ? undefined : value;
  } catch {
    return undefined;
  }
}
