/**
 * Finds the Protobuf descriptors in a built bundle. Generated code embeds them as base64, so that a text search for a
 * message's name finds nothing; every string literal is decoded instead, whatever function it is passed to.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

export interface Embedded {
  readonly files: readonly string[];
  readonly services: readonly string[];
}

const literal = /["'`]([A-Za-z0-9+/_-]{16,}={0,2})["'`]/g;

export function embeddedDescriptors(bundleText: string): Embedded {
  const found = embeddedFiles(bundleText);
  const services = found.flatMap((file) => file.service.map(({ name }) => `${file.package}.${name}`));
  return { files: sortedUnique(found.map(({ name }) => name)), services: sortedUnique(services) };
}

/** Each descriptor as it is embedded. */
export function embeddedFiles(bundleText: string): readonly FileDescriptorProto[] {
  return [...bundleText.matchAll(literal)].flatMap(([, text]) => decode(text!) ?? []);
}

function decode(text: string): FileDescriptorProto | undefined {
  try {
    const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(text, "base64"));
    return file.name.endsWith(".proto") ? file : undefined;
  } catch {
    return undefined;
  }
}

function sortedUnique(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
