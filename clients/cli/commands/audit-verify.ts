/**
 * `biplane audit verify`: fetches both logs and checks them here, against what the other plane remembers and what this
 * machine saw the last time. So not even both planes together can change what was once checked from here.
 */
import { rm } from "node:fs/promises";
import {
  decodeHashes,
  type LogUnderCheck,
  type LogVerdict,
  type NoteVerifier,
  parseCheckpoint,
  parseNoteVerifier,
  type SeenCheckpoint,
  verifyLog,
} from "@biplane/audit";
import { BiplaneError } from "@biplane/base";
import { audit } from "@biplane/data-wire";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { type Connection, configFolder } from "@biplane/sdk/remote";
import { type OutputFormat, printRecords } from "../output/print.ts";

const planes = ["data", "control"] as const;
type Plane = (typeof planes)[number];
export const planeNumbers = { data: audit.AuditPlane.DATA, control: audit.AuditPlane.CONTROL } as const;
const otherPlane = { data: "the control plane", control: "the data plane" } as const;

/** What this machine saw of a log when it checked it last. */
interface Memory {
  readonly key: string;
  readonly size: number;
  /** Base64. */
  readonly root: string;
}

interface Checked {
  readonly plane: Plane;
  readonly key: string;
  readonly verdict: LogVerdict;
  readonly alarms: readonly string[];
}

export interface VerifyOptions {
  readonly output: OutputFormat;
  /** What this machine saw before is forgotten: a plane was restored from a backup. */
  readonly acceptRestore?: boolean;
}

/** Throws `data_loss` where a log was changed, after everything that was found is printed. */
export async function verifyLogs(connection: Connection, options: VerifyOptions): Promise<void> {
  const { output } = options;
  const memory = new CheckpointMemory(connection);
  if (options.acceptRestore === true) for (const plane of planes) await memory.forget(plane);
  const checked: Checked[] = [];
  for (const plane of planes) checked.push(await checkPlane(connection, plane, memory));
  printRecords(checked.map(recordOf), columns, output);
  const bad = checked.filter(({ verdict, alarms }) => verdict.problem !== undefined || alarms.some(isFatal));
  if (bad.length === 0) return;
  throw new BiplaneError(
    "data_loss",
    {
      what: `The audit log of the ${bad.map(({ plane }) => plane).join(" and the ")} plane does not verify.`,
      why: bad.map(({ plane, verdict, alarms }) => `${plane}: ${problemText(verdict, alarms)}`).join("; "),
      next: "Keep copies of both state folders as they are, and find out who could write there.",
    },
    { reason: "audit_log_changed" },
  );
}

async function checkPlane(connection: Connection, plane: Plane, memory: CheckpointMemory): Promise<Checked> {
  const state = await connection.audit.getLog({ plane: planeNumbers[plane] });
  const remembered = await memory.read(plane);
  const log = logUnderCheck(connection, plane, state, remembered);
  const verdict =
    remembered !== undefined && remembered.key !== state.logKey
      ? otherKey(remembered.size)
      : await verifyLog(log);
  if (verdict.problem === undefined && state.latest !== "") await memory.write(plane, state);
  return { plane, key: state.logKey, verdict, alarms: state.alarms };
}

export function logUnderCheck(
  connection: Connection,
  plane: Plane,
  state: audit.GetLogResponse,
  remembered: Memory | undefined,
): LogUnderCheck {
  const seen: SeenCheckpoint[] = state.seen.map(({ size, rootHash }) => ({
    size: Number(size),
    root: rootHash,
    by: otherPlane[plane],
  }));
  if (remembered !== undefined) {
    const root = new Uint8Array(Buffer.from(remembered.root, "base64"));
    seen.push({ size: remembered.size, root, by: "this machine's last check" });
  }
  const number = planeNumbers[plane];
  return {
    latest: state.latest === "" ? undefined : state.latest,
    cosigned: state.countersigned === "" ? undefined : state.countersigned,
    logKey: parseNoteVerifier(state.logKey),
    witnessKey: verifierIfAny(state.witnessKey),
    seen,
    firstIndex: Number(state.firstIndex),
    records: async function* (fromIndex) {
      const request = { plane: number, fromIndex: BigInt(fromIndex) };
      for await (const { index, record } of connection.audit.readRecords(request)) {
        yield { index: Number(index), record };
      }
    },
    hashes: async (index) => {
      const { hashes } = await connection.audit.readTile({ plane: number, level: 0, index: BigInt(index) });
      return decodeHashes(hashes);
    },
  };
}

function verifierIfAny(text: string): NoteVerifier | undefined {
  return text === "" ? undefined : parseNoteVerifier(text);
}

function otherKey(size: number): LogVerdict {
  const problem = { what: "the log is signed by another key than the last time" };
  return { size, recordsChecked: 0, countersignedSize: 0, problem };
}

/** A plane that can't be reached or is late is no proof of anything; one that refuses is. */
function isFatal(alarm: string): boolean {
  return alarm !== "control_plane_away" && alarm !== "countersignature_late";
}

function problemText({ problem }: LogVerdict, alarms: readonly string[]): string {
  const fatal = alarms.filter(isFatal).map((alarm) => `the other plane does not countersign it (${alarm})`);
  if (problem === undefined) return fatal.join(", ");
  const place = problem.index === undefined ? "" : `record ${problem.index}: `;
  return [`${place}${problem.what}`, ...fatal].join(", ");
}

function recordOf({ plane, key, verdict, alarms }: Checked) {
  const { size, recordsChecked, countersignedSize, problem } = verdict;
  return {
    plane,
    result: problem === undefined && !alarms.some(isFatal) ? "intact" : "CHANGED",
    records: size,
    checked: recordsChecked,
    countersigned: countersignedSize,
    firstBad: problem?.index,
    problem: problem?.what,
    alarms,
    key,
  };
}

type Row = ReturnType<typeof recordOf>;
const columns = [
  { title: "PLANE", value: (one: Row) => one.plane },
  { title: "RESULT", value: (one: Row) => one.result },
  { title: "RECORDS", value: (one: Row) => one.records, align: "right" },
  { title: "CHECKED", value: (one: Row) => one.checked, align: "right" },
  { title: "FIRST BAD", value: (one: Row) => one.firstBad, align: "right" },
  { title: "PROBLEM", value: (one: Row) => one.problem },
  { title: "ALARMS", value: (one: Row) => one.alarms.join(", ") },
] as const;

class CheckpointMemory {
  readonly #folder: string;

  constructor({ profile }: Connection) {
    this.#folder = `${configFolder()}/audit/${profile.org}.${profile.cluster}`;
  }

  async read(plane: Plane): Promise<Memory | undefined> {
    const content = await readFileIfAny(`${this.#folder}.${plane}.json`);
    return content === undefined ? undefined : (JSON.parse(content.toString("utf8")) as Memory);
  }

  async forget(plane: Plane): Promise<void> {
    await rm(`${this.#folder}.${plane}.json`, { force: true });
  }

  async write(plane: Plane, { latest, logKey }: audit.GetLogResponse): Promise<void> {
    const { size, root } = parseCheckpoint(latest);
    const memory: Memory = { key: logKey, size, root: Buffer.from(root).toString("base64") };
    await writeFileDurably(`${this.#folder}.${plane}.json`, `${JSON.stringify(memory)}\n`);
  }
}
