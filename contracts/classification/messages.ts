/**
 * Every field of every served message with its class: our own by the option that they carry, Flyte's by the table. Knows the
 * data wire, so that a control plane never imports it.
 */
import { type DataClass, dataClasses } from "@biplane/base";
import * as controlWire from "@biplane/control-wire";
import * as dataWire from "@biplane/data-wire";
import {
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  ScalarType,
} from "@bufbuild/protobuf";
import { heldMessage } from "./classes.ts";
import { flyteFields } from "./flyte-fields.ts";
import { rpcTable } from "./rpc-table.ts";

export interface MessageField {
  /** As `flyteidl2.task.RunSpec.envs`. */
  readonly name: string;
  /** As `repeated string`, `map<string, flyteidl2.core.Literal>`; the name of its `oneof` in parentheses. */
  readonly type: string;
  readonly class: DataClass | undefined;
  /** Most sensitive class of the message that it holds. */
  readonly holds: DataClass | undefined;
}

/** Of every message that a plane serves or hands to a worker, and of all that they hold. */
export function messageFields(): readonly MessageField[] {
  return servedMessages().flatMap((message) => message.fields.map(describe));
}

/** Fields that the table of foreign messages names, each as often as it does. */
export function tabledFields(): readonly string[] {
  return rows.map(([name]) => name);
}

/** Each once, by name. */
export function servedMessages(): readonly DescMessage[] {
  const found = new Map<string, DescMessage>();
  const add = (message: DescMessage): void => {
    if (found.has(message.typeName)) return;
    found.set(message.typeName, message);
    for (const field of message.fields) {
      const held = heldMessage(field);
      if (held !== undefined) add(held);
    }
  };
  for (const file of ownFiles()) for (const message of file.messages) addNested(message, add);
  for (const message of calledMessages()) add(message);
  return [...found.values()].sort((a, b) => (a.typeName < b.typeName ? -1 : 1));
}

function addNested(message: DescMessage, add: (message: DescMessage) => void): void {
  add(message);
  for (const nested of message.nestedMessages) addNested(nested, add);
}

const generated: readonly unknown[] = [
  ...Object.values(controlWire),
  ...[...Object.values(dataWire), ...Object.values(dataWire.flyte)].flatMap((one) =>
    typeof one === "object" ? Object.values(one) : [],
  ),
];

function ofKind<Kind extends "file" | "service">(kind: Kind) {
  return (one: unknown): one is Kind extends "file" ? DescFile : DescService =>
    typeof one === "object" && one !== null && (one as { kind?: unknown }).kind === kind;
}

function ownFiles(): DescFile[] {
  return generated
    .filter(ofKind("file"))
    .filter(({ name }) => name.startsWith("biplane/") && !name.startsWith("biplane/classes/"));
}

function calledMessages(): DescMessage[] {
  return servedMethods().flatMap(({ desc }) => [desc.input, desc.output]);
}

export interface ServedMethod {
  /** As in the table: `package.Service/Method`. */
  readonly name: string;
  readonly desc: DescMethod;
}

/** Those of a router that have a row: without one a method can't be served. */
export function servedMethods(): readonly ServedMethod[] {
  const services = generated.filter(ofKind("service"));
  return Object.keys(rpcTable).flatMap((name) => {
    const [typeName, methodName] = name.split("/");
    const service = services.find((one) => one.typeName === typeName);
    const desc = service?.methods.find((one) => one.name === methodName);
    return desc === undefined ? [] : [{ name, desc }];
  });
}

const rows: readonly (readonly [name: string, one: DataClass])[] = Object.entries(flyteFields).flatMap(
  ([pack, messages]) =>
    Object.entries(messages).flatMap(([message, classes]) =>
      Object.entries(classes).flatMap(([one, names]) =>
        names.split(" ").map((name) => [`${pack}.${message}.${name}`, one as DataClass] as const),
      ),
    ),
);
const table: ReadonlyMap<string, DataClass> = new Map(rows);

const nameOf = (field: DescField) => `${field.parent.typeName}.${field.name}`;

function classOf(field: DescField): DataClass | undefined {
  return field.parent.typeName.startsWith("biplane.")
    ? controlWire.declaredClass(field)
    : table.get(nameOf(field));
}

function describe(field: DescField): MessageField {
  const oneof = field.oneof === undefined ? "" : ` (one of ${field.oneof.name})`;
  const held = heldMessage(field)?.fields.map(classOf);
  return {
    name: nameOf(field),
    type: `${typeOf(field)}${oneof}`,
    class: classOf(field),
    holds: held === undefined ? undefined : mostSensitive(held),
  };
}

function mostSensitive(classes: readonly (DataClass | undefined)[]): DataClass | undefined {
  return dataClasses.findLast((one) => classes.includes(one));
}

function typeOf(field: DescField): string {
  if (field.fieldKind === "map") return `map<${scalarName(field.mapKey)}, ${valueTypeOf(field)}>`;
  return field.fieldKind === "list" ? `repeated ${valueTypeOf(field)}` : valueTypeOf(field);
}

function valueTypeOf(field: DescField): string {
  const named: DescMessage | DescEnum | undefined = field.message ?? field.enum;
  return named?.typeName ?? scalarName(field.scalar!);
}

function scalarName(scalar: ScalarType): string {
  return ScalarType[scalar].toLowerCase();
}
