/** `biplane border`: every message that crossed between the planes, both ways, in plain form. */
import type { DataClass } from "@biplane/base";
import { classesOf } from "@biplane/classification";
import {
  file_biplane_control_v1_audit,
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_index,
  file_biplane_control_v1_link,
} from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { createRegistry, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Command, Option } from "commander";
import { time } from "../output/text.ts";
import { type CommonOptions, connectWith, interruptSignal, withCommonOptions } from "./common.ts";

interface BorderOptions extends CommonOptions {
  readonly follow?: boolean;
  readonly run?: string;
  readonly since: number;
}

const registry = createRegistry(
  file_biplane_control_v1_link,
  file_biplane_control_v1_index,
  file_biplane_control_v1_enrollment,
  file_biplane_control_v1_audit,
);

export function borderCommand(): Command {
  return withCommonOptions(
    new Command("border")
      .description("show every message that crossed between the data plane and the control plane")
      .option("-f, --follow", "go on with each new message")
      .option("--run <name>", "only messages that mention this run")
      .addOption(new Option("--since <sequence>", "first number wanted").argParser(Number).default(0)),
  ).action(showBorder);
}

async function showBorder(options: BorderOptions): Promise<void> {
  const connection = await connectWith(options);
  const signal = interruptSignal();
  const request = {
    fromSequence: BigInt(options.since),
    follow: options.follow ?? false,
    run: options.run ?? "",
  };
  try {
    for await (const entry of connection.border.readLedger(request, { signal })) {
      process.stdout.write(`${options.output === "table" ? line(entry) : JSON.stringify(record(entry))}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

export interface BorderRecord {
  readonly sequence: number;
  readonly at: string;
  readonly direction: "up" | "down";
  readonly method: string;
  readonly type: string;
  readonly bytes: number;
  /** Of what is in the message, by the register; empty where it can't be read. */
  readonly classes: readonly DataClass[];
  readonly message: JsonValue;
}

export function record(entry: border.LedgerEntry): BorderRecord {
  const type = registry.getMessage(entry.messageType);
  const message = type === undefined ? undefined : fromBinary(type, entry.message);
  const known = type !== undefined && message !== undefined;
  return {
    sequence: Number(entry.sequence),
    at: time(entry.recordedAt),
    direction: entry.direction === border.Direction.UP ? "up" : "down",
    method: entry.method,
    type: entry.messageType,
    bytes: entry.message.byteLength,
    classes: known ? classesOf(type, message) : [],
    message: known ? toJson(type, message, { registry }) : null,
  };
}

function line(entry: border.LedgerEntry): string {
  const { sequence, at, direction, type, bytes, classes, message } = record(entry);
  const arrow = direction === "up" ? "↑" : "↓";
  const shortType = type.split(".").at(-1) ?? type;
  const head = `${String(sequence).padStart(6)} ${at} ${arrow} ${shortType} (${bytes} B)`;
  return `${head} [${classes.join(", ")}] ${JSON.stringify(message)}`;
}
