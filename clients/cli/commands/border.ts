/** `biplane border`: every message that crossed between the planes, both ways, in plain form, with its classes. */
import { BiplaneError, type DataClass } from "@biplane/base";
import { classesOf } from "@biplane/classification";
import {
  file_biplane_control_v1_audit,
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
  findUnknownField,
} from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { createRegistry, type DescMessage, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Command, Option } from "commander";
import { cut, yamlItem } from "../output/print.ts";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, interruptSignal, parseCount, withCommonOptions } from "./common.ts";

interface BorderOptions extends CommonOptions {
  readonly follow?: boolean;
  readonly run?: string;
  readonly grep?: RegExp;
  readonly since?: number;
  readonly tail?: number;
}

/** What `--follow` shows of what was before it. */
const followedTail = 20;

const registry = createRegistry(
  file_biplane_control_v1_link,
  file_biplane_control_v1_index,
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_audit,
);
const sealType = border.LedgerSealSchema;

export function borderCommand(): Command {
  return withCommonOptions(
    new Command("border")
      .description("show every message that crossed between the data plane and the control plane")
      .option("-f, --follow", "go on with each new message")
      .option("--run <name>", "only messages that mention this run")
      .addOption(
        new Option("--grep <pattern>", "only what holds this, in its text, headers or bytes").argParser(
          parsePattern,
        ),
      )
      .addOption(new Option("--since <sequence>", "first number wanted").argParser(parseCount))
      .addOption(
        new Option(
          "--tail <count>",
          `begin with so many of the newest; ${followedTail} with --follow alone`,
        ).argParser(parseCount),
      ),
  ).action(showBorder);
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, "i");
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      { what: `--grep ${text} is no pattern.`, next: "Escape ( ) [ ] . * + ? \\ to search for themselves." },
      { cause },
    );
  }
}

async function showBorder(options: BorderOptions): Promise<void> {
  const connection = await connectWith(options);
  const signal = interruptSignal();
  const request = {
    fromSequence: BigInt(options.since ?? 0),
    follow: options.follow ?? false,
    run: options.run ?? "",
    last: options.tail ?? defaultTail(options),
  };
  try {
    for await (const entry of connection.border.readLedger(request, { signal })) {
      const found = record(entry);
      if (options.grep !== undefined && !holds(options.grep, found, entry.message)) continue;
      const forms = {
        table: () => cut(line(found)),
        json: () => JSON.stringify(found),
        yaml: () => yamlItem(found),
      };
      process.stdout.write(`${forms[options.output]()}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Whoever asks for something in particular wants all of it. */
function defaultTail({ follow, run, grep, since }: BorderOptions): number {
  return follow && run === undefined && grep === undefined && since === undefined ? followedTail : 0;
}

export interface BorderRecord {
  readonly sequence: number;
  readonly at: string;
  readonly direction: "up" | "down" | "none";
  /** Joins what belongs to one call, or to one connection of the link. */
  readonly call: string;
  readonly method: string;
  readonly type: string;
  readonly bytes: number;
  /** Of the fields that are set. */
  readonly classes: readonly DataClass[];
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly message: JsonValue;
  /** Path of a field that the protocol does not name, or "all" where the message can't be read. */
  readonly unknown?: string;
  /** The message in base64, where `message` does not show all of it. */
  readonly raw?: string;
}

export function record(entry: border.LedgerEntry): BorderRecord {
  const { sequence, recordedAt, call, method, messageType, message, headers, status } = entry;
  return {
    sequence: Number(sequence),
    at: time(recordedAt),
    direction: directions[entry.direction],
    call,
    method,
    type: messageType,
    bytes: message.byteLength,
    ...(status === 0 ? {} : { status }),
    ...(headers.length === 0
      ? {}
      : { headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])) }),
    ...contentOf(messageType, message),
  };
}

const directions = {
  [border.Direction.UNSPECIFIED]: "none",
  [border.Direction.UP]: "up",
  [border.Direction.DOWN]: "down",
} as const;

type Content = Pick<BorderRecord, "classes" | "message" | "unknown" | "raw">;

/** What the other plane sends may be anything: this must show it all the same. */
function contentOf(type: string, bytes: Uint8Array): Content {
  const schema = type === sealType.typeName ? sealType : registry.getMessage(type);
  try {
    if (schema !== undefined) return decoded(schema, bytes);
    return { classes: [], message: bytes.length === 0 ? null : JSON.parse(Buffer.from(bytes).toString()) };
  } catch {
    return { classes: [], message: null, unknown: "all", raw: Buffer.from(bytes).toString("base64") };
  }
}

function decoded(schema: DescMessage, bytes: Uint8Array): Content {
  const message = fromBinary(schema, bytes);
  const unknown = findUnknownField(schema, message);
  return {
    classes: classesOf(schema, message),
    message: toJson(schema, message, { registry }),
    ...(unknown === undefined ? {} : { unknown, raw: Buffer.from(bytes).toString("base64") }),
  };
}

function holds(pattern: RegExp, found: BorderRecord, message: Uint8Array): boolean {
  return pattern.test(JSON.stringify(found)) || pattern.test(Buffer.from(message).toString("utf8"));
}

const arrows = { up: "↑", down: "↓", none: " " } as const;

function line(found: BorderRecord): string {
  const { sequence, at, direction, method, type, bytes, classes, message, status, headers, unknown } = found;
  const what = type === "" ? method : type;
  return [
    String(sequence).padStart(6),
    at,
    arrows[direction],
    what.split(".").at(-1),
    `(${bytes} B)`,
    classes.length === 0 ? "-" : classes.join("+"),
    ...(status === undefined ? [] : [String(status)]),
    JSON.stringify(message ?? headers ?? null),
    ...(unknown === undefined ? [] : [`UNKNOWN: ${unknown}`]),
  ].join(" ");
}
