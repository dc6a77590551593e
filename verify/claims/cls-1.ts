/** CLS-1: everything that is served, stored, logged and audited belongs to exactly one class. */
import { readFileSync } from "node:fs";
import { auditFields } from "@biplane/audit";
import { logFields } from "@biplane/base";
import { rpcTable } from "@biplane/classification";
import { findGaps, type RealColumn } from "@biplane/classification/check";
import { type RegisterKind, registerRows } from "@biplane/classification/register";
import { planeNumbers } from "@biplane/cli/commands/audit-verify";
import { readColumns } from "@biplane/kit/table-columns";
import { toBinary } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { planeDatabases } from "../scenes/plane-databases.ts";
import { LinkedMessages } from "../search/linked-messages.ts";

export const cls1: Claim = {
  id: "CLS-1",
  text: "Every field of every request, response, stored column, log record and audit record belongs to exactly one class.",
  from: "machine",

  async prove(subject, seen) {
    const [control, data] = [programOf(subject, "control"), programOf(subject, "data")];
    const fields = [...served(control, () => true), ...served(data, isServedByRouter)];
    const names = new Set(fields);
    seen.none(
      `walked the messages of all methods that ${subject.planes.control.program} and ${subject.planes.data.program} serve, ${names.size} fields with those of structs, maps and Any, and counted those without exactly one class`,
      unclassed("message", names),
    );
    const columns = await liveColumns(subject);
    seen.none(
      `compared the ${columns.control.length} and ${columns.data.length} columns of the control plane's and the data plane's databases, as they are now, with the register`,
      columnGaps(columns),
    );
    const logged = loggedFields(subject);
    seen.holds("read the planes' logs", logged.lines > 0, `${logged.lines} lines`);
    seen.none(
      `looked for the ${logged.fields.size} names that those lines have`,
      unclassed("log", logged.fields),
    );
    for (const plane of ["data", "control"] as const) {
      const audited = await auditedFields(subject, plane);
      seen.holds(`read the ${plane} plane's audit log`, audited.records > 0, `${audited.records} records`);
      seen.none(
        `looked for the ${audited.fields.size} names that its records have`,
        unclassed("audit", audited.fields),
      );
    }
  },

  async control(subject, seen) {
    const changed = withUnclassedField(readFileSync(subject.planes.data.program, "utf8"));
    const isFieldFound = seen.caught(
      "a served message with one more field, in a copy of the data plane's program",
      unclassed("message", new Set(served(changed, isServedByRouter))),
      /\.verify_planted has no class/,
    );
    const columns = await liveColumns(subject);
    const planted = { name: "run.verify_planted", type: "text" };
    const isColumnFound = seen.caught(
      "one more column in the control plane's table of runs",
      columnGaps({ ...columns, control: [...columns.control, planted] }),
      /control\.run\.verify_planted has no class/,
    );
    const [log, audit] = (["log", "audit"] as const).map((kind) =>
      seen.caught(
        `one more name in a ${kind} record`,
        unclassed(kind, new Set(["verify_planted"])),
        /verify_planted has no class/,
      ),
    );
    return isFieldFound && isColumnFound && log === true && audit === true;
  },
};

const isServedByRouter = (method: string) => method in rpcTable;

function programOf(subject: Subject, name: "control" | "data"): LinkedMessages {
  return new LinkedMessages(readFileSync(subject.planes[name].program, "utf8"));
}

/** What is asked and answered, and our own messages that are stored or given to a worker. */
function served(program: LinkedMessages, isServed: (method: string) => boolean): Set<string> {
  return program.fieldsFrom([...program.called(isServed), ...program.own()]);
}

function unclassed(kind: RegisterKind, names: ReadonlySet<string>): string[] {
  const prefix = kind === "message" ? "" : `${kind}.`;
  const classed = Map.groupBy(
    registerRows().filter((row) => row.kind === kind),
    ({ name }) => name.slice(prefix.length),
  );
  return [...names].flatMap((name) => {
    const count = classed.get(name)?.length ?? 0;
    if (count === 1) return [];
    return [count === 0 ? `${prefix}${name} has no class` : `${prefix}${name} has ${count} classes`];
  });
}

interface LiveColumns {
  readonly control: readonly RealColumn[];
  readonly data: readonly RealColumn[];
}

async function liveColumns(subject: Subject): Promise<LiveColumns> {
  const databases = await subject.scene(planeDatabases);
  const read = async (plane: "control" | "data") =>
    readColumns(databases.find((one) => one.plane === plane)!.database.kysely);
  return { control: await read("control"), data: await read("data") };
}

/** As the build judges them; names of logs and records come from the real ones. */
function columnGaps({ control, data }: LiveColumns): readonly string[] {
  return findGaps({
    controlColumns: control,
    dataColumns: data,
    logFields: Object.keys(logFields),
    auditFields: Object.keys(auditFields),
  });
}

function loggedFields({ planes }: Subject): { lines: number; fields: Set<string> } {
  const lines = Object.values(planes)
    .flatMap(({ logs }) => logs.flatMap((path) => readFileSync(path, "utf8").split("\n")))
    // What the runtime says before the program's logger exists has no fields.
    .filter((line) => line.startsWith("{"));
  return { lines: lines.length, fields: new Set(lines.flatMap((line) => Object.keys(JSON.parse(line)))) };
}

async function auditedFields({ connection }: Subject, plane: "data" | "control") {
  const fields = new Set<string>();
  let records = 0;
  for await (const { record } of connection.audit.readRecords({ plane: planeNumbers[plane] })) {
    records += 1;
    for (const name of Object.keys(JSON.parse(Buffer.from(record).toString()) as object)) fields.add(name);
  }
  return { records, fields };
}

/** As a build would make it that let the field pass. */
function withUnclassedField(programText: string): LinkedMessages {
  const file = new LinkedMessages(programText).files.find(({ name }) => name.startsWith("biplane/data/"));
  const [message] = file?.messageType ?? [];
  if (file === undefined || message === undefined)
    throw new Error("The program links no message of its own.");
  const like = message.field[0] ?? {};
  message.field.push({
    ...like,
    name: "verify_planted",
    number: 19_999,
    type: FieldDescriptorProto_Type.STRING,
  } as never);
  const encoded = Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString("base64");
  return new LinkedMessages(`${programText}\n"${encoded}"`);
}
