/** `biplane audit`: who did what, in both planes; and whether what is written there was ever changed. */
import {
  type AuditRecord,
  auditCodes,
  controlLogName,
  dataLogName,
  decodeAuditRecord,
  toOcsf,
} from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import { audit } from "@biplane/data-wire";
import type { Connection } from "@biplane/sdk/remote";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Command, InvalidArgumentError, Option } from "commander";
import { cut, yamlItem } from "../output/print.ts";
import { type VerifyOptions, verifyLogs } from "./audit-verify.ts";
import { type CommonOptions, connectWith, interruptSignal, withCommonOptions } from "./common.ts";

interface AuditOptions extends CommonOptions {
  readonly plane: "data" | "control";
  readonly since?: number;
  readonly until?: number;
  readonly subject?: string;
  readonly resource?: readonly string[];
  readonly code?: readonly string[];
  readonly decision?: readonly string[];
  readonly format?: "jsonl" | "ocsf";
}

const planes = { data: audit.AuditPlane.DATA, control: audit.AuditPlane.CONTROL } as const;
const decisions = ["allowed", "denied", "hidden", "unauthenticated", "refused", "event"];

export function auditCommand(): Command {
  const command = new Command("audit").description("read and check the audit logs of both planes");
  command.addCommand(
    withFilters("query", "show audit records, oldest first").action((options: AuditOptions) =>
      show(options, false, lineFor(options)),
    ),
  );
  command.addCommand(
    withFilters("follow", "show audit records and go on with each new one").action((options: AuditOptions) =>
      show(options, true, lineFor(options)),
    ),
  );
  command.addCommand(
    withFilters("export", "write audit records for other tools, one JSON object a line")
      .addOption(
        new Option("--format <name>", "as they are, or in the Open Cybersecurity Schema Framework")
          .choices(["jsonl", "ocsf"])
          .default("jsonl"),
      )
      .option("-f, --follow", "go on with each new record")
      .action((options: AuditOptions & { follow?: boolean }) =>
        show(options, options.follow ?? false, options.format === "ocsf" ? ocsfLine : jsonLine),
      ),
  );
  command.addCommand(
    withCommonOptions(
      new Command("verify").description(
        "check both logs: signatures, every record, and that nothing was changed since it was seen",
      ),
    )
      .option("--accept-restore", "forget what this machine saw: a plane was restored from a backup")
      .action(async (options: CommonOptions & VerifyOptions) =>
        verifyLogs(await connectWith(options), options),
      ),
  );
  return command;
}

function withFilters(name: string, description: string): Command {
  return withCommonOptions(new Command(name).description(description))
    .addOption(new Option("--plane <name>", "whose log").choices(Object.keys(planes)).default("data"))
    .addOption(new Option("--since <time>", "a time, or how long ago, as 15m, 2h, 7d").argParser(timeOf))
    .addOption(new Option("--until <time>", "a time, or how long ago").argParser(timeOf))
    .option("--subject <id>", "who did it, or whose rights were used")
    .addOption(
      new Option("--resource <path>", "project, project/domain or project/domain/run").argParser(pathOf),
    )
    .addOption(new Option("--code <codes...>", "what happened").choices(Object.keys(auditCodes)))
    .addOption(new Option("--decision <decisions...>", "how it ended").choices(decisions));
}

type Line = (record: AuditRecord, index: number, connection: Connection, text: string) => string;

async function show(options: AuditOptions, follow: boolean, lineOf: Line): Promise<void> {
  const connection = await connectWith(options);
  const signal = interruptSignal();
  let count = 0;
  try {
    for await (const { index, record } of connection.audit.readRecords(requestOf(options, follow), {
      signal,
    })) {
      if (count === 0 && lineOf === plainLine) process.stdout.write(`${cut(titles)}\n`);
      count += 1;
      const text = new TextDecoder().decode(record);
      process.stdout.write(`${lineOf(decodeAuditRecord(record), Number(index), connection, text)}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (count === 0 && !follow && lineOf === plainLine) process.stderr.write("No records fit.\n");
}

function requestOf(options: AuditOptions, follow: boolean) {
  const { plane, since, until, subject, resource, code, decision } = options;
  const [project = "", domain = "", run = ""] = resource ?? [];
  return {
    plane: planes[plane],
    follow,
    ...(since === undefined ? {} : { since: timestampFromMs(since) }),
    ...(until === undefined ? {} : { until: timestampFromMs(until) }),
    subject: subject ?? "",
    project,
    domain,
    run,
    codes: [...(code ?? [])],
    decisions: [...(decision ?? [])],
  };
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function timeOf(text: string): number {
  const [, count, unit = ""] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const ms = count === undefined ? Date.parse(text) : Date.now() - Number(count) * (units[unit] ?? 0);
  if (Number.isFinite(ms)) return ms;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(text)} is no time.`,
    next: "Give one as 2026-11-25T12:00:00Z, or how long ago as 15m, 2h, 7d.",
  });
}

const resourcePartsMax = 3;

function pathOf(text: string): readonly string[] {
  const names = text.split("/");
  if (names.length <= resourcePartsMax) return names;
  throw new InvalidArgumentError("Give a project, project/domain or project/domain/run.");
}

function lineFor({ output }: AuditOptions): Line {
  return { table: plainLine, json: jsonLine, yaml: yamlLine }[output];
}

/** The record's own bytes: what was hashed can be hashed again. */
const jsonLine: Line = (_record, _index, _connection, text) => text;

const yamlLine: Line = (_record, _index, _connection, text) => yamlItem(JSON.parse(text));

const ocsfLine: Line = (record, index, { profile }) => {
  const logName =
    record.plane === "data" ? dataLogName(profile.org, profile.cluster) : controlLogName(profile.org);
  return JSON.stringify(toOcsf(record, index, logName));
};

/** Records are printed as they come: the columns are as wide as their content ever gets, not as it is this time. */
const widths = [
  6,
  new Date(0).toISOString().length,
  Math.max(...decisions.map((name) => name.length)),
  Math.max(...Object.keys(auditCodes).map((name) => name.length)),
  "user-".length + 20,
];

function inColumns(cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join("  ")
    .trimEnd();
}

const titles = inColumns(["RECORD", "TIME", "DECISION", "CODE", "SUBJECT", "RESOURCE", "REASON", "FROM"]);

const plainLine: Line = (record, index) => {
  const { atMs, code, decision, subject, project, domain, run, action, attempt } = record;
  const resource = [project, domain, run, action, attempt].filter((part) => part !== undefined).join("/");
  const { phase, reason, count, address, addressFrom } = record;
  const why = [phase, reason, count === undefined ? undefined : `#${count}`].filter(Boolean).join(" ");
  return cut(
    inColumns([
      String(index).padStart(widths[0] ?? 0),
      new Date(atMs).toISOString(),
      decision,
      code,
      subject || "-",
      resource || "-",
      why || "-",
      address === "" ? "" : `${address} (${addressFrom})`,
    ]),
  );
};
