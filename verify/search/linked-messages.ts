/** The messages that a built program links, as its embedded descriptors have them, and which fields its methods reach. */
import {
  type DescriptorProto,
  FieldDescriptorProto_Type,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { embeddedFiles } from "./descriptors.ts";

/** Values, whose class is that of the field which holds them. */
const value = /^\.google\.protobuf\.(Timestamp|Duration|(Bool|String|Bytes|Float|Double|U?Int(32|64))Value)$/;
/** Made by the compiler for a map; the map's own field is what is classed. */
const isMapEntry = (message: DescriptorProto) => message.options?.mapEntry === true;

export class LinkedMessages {
  readonly #messages = new Map<string, DescriptorProto>();
  readonly files: readonly FileDescriptorProto[];

  constructor(programText: string) {
    this.files = embeddedFiles(programText);
    for (const file of this.files)
      for (const message of file.messageType) this.#add(`.${file.package}`, message);
  }

  #add(scope: string, message: DescriptorProto): void {
    const name = `${scope}.${message.name}`;
    this.#messages.set(name, message);
    for (const nested of message.nestedType) this.#add(name, nested);
  }

  /** Names of all fields that can be reached from these messages. */
  fieldsFrom(names: readonly string[], found = new Set<string>(), seen = new Set<string>()): Set<string> {
    for (const name of names) {
      if (seen.has(name) || value.test(name)) continue;
      seen.add(name);
      const message = this.#messages.get(name);
      if (message === undefined) throw new Error(`${name} is not in the program.`);
      const held = message.field.filter(({ type }) => type === FieldDescriptorProto_Type.MESSAGE);
      if (!isMapEntry(message))
        for (const field of message.field) found.add(`${name.slice(1)}.${field.name}`);
      this.fieldsFrom(
        held.map(({ typeName }) => typeName),
        found,
        seen,
      );
    }
    return found;
  }

  /** What the methods of these names, or all, ask and answer. */
  called(isServed: (method: string) => boolean): string[] {
    return this.files.flatMap((file) =>
      file.service.flatMap((service) =>
        service.method
          .filter(({ name }) => isServed(`${file.package}.${service.name}/${name}`))
          .flatMap(({ inputType, outputType }) => [inputType, outputType]),
      ),
    );
  }

  /** Of our own files: also what is stored, or given to a worker. */
  own(): string[] {
    return [...this.#messages.keys()].filter((name) => name.startsWith(".biplane."));
  }
}
