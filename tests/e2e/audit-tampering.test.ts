/**
 * What `biplane audit verify` says after somebody with every key of one plane has changed its audit log while the plane
 * was down (claims AUD-3, TRUST-4). Each case begins from the same two untouched states.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { controlLogName, decodeAuditRecord } from "@biplane/audit";
import { audit } from "@biplane/data-wire";
import { deriveKey, type Key, readKeyFile } from "@biplane/kit";
import { openJournal } from "@biplane/kit/journal";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runProgram } from "../support/daemon.ts";
import { cluster, org, type System, startSystem } from "./system.ts";

const launcher = join(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
const planes = ["data", "control"] as const;
let system: System;
let copies: string;
/** Records of each log in the states that every case begins from. */
const sizes = { data: 0, control: 0 };

beforeAll(async () => {
  copies = mkdtempSync(join(tmpdir(), "biplane-audit-copies-"));
  system = await startSystem();
  await countersigned();
  await copyStates("earlier");
  await system.control.start();
  await system.data.start();
  await countersigned();
  await verdicts();
  await copyStates("later");
  for (const plane of planes) {
    const { folder, key } = await filesOf(plane);
    const journal = await openJournal({ folder, key, name: "audit" });
    sizes[plane] = Number(journal.lastSequence);
    await journal.close();
  }
});
afterAll(async () => {
  await system?.close();
  rmSync(copies, { recursive: true, force: true });
});

/** Stops both planes, so that what is copied fits together. */
async function copyStates(name: string): Promise<void> {
  await system.data.stop();
  await system.control.stop();
  for (const plane of planes) {
    cpSync(join(system.folder, plane), join(copies, name, plane), { recursive: true });
  }
}

/** Both planes as they were, then `tamper`, then both run again. */
async function restarted(tamper: () => Promise<void>): Promise<void> {
  await system.data.stop();
  await system.control.stop();
  for (const plane of planes) {
    rmSync(join(system.folder, plane), { recursive: true });
    cpSync(join(copies, "later", plane), join(system.folder, plane), { recursive: true });
  }
  await tamper();
  await system.control.start();
  await system.data.start();
  const service = createClient(audit.AuditService, system.transport());
  await eventually(
    () => service.getLog({ plane: audit.AuditPlane.CONTROL }),
    ({ latest }) => latest !== "",
    { withinMs: 30_000, what: "The control plane answering over the link" },
  );
}

async function countersigned(): Promise<void> {
  const service = createClient(audit.AuditService, system.transport());
  for (const plane of [audit.AuditPlane.DATA, audit.AuditPlane.CONTROL]) {
    await eventually(
      () => service.getLog({ plane }),
      ({ seen }) => seen.length > 0,
      { withinMs: 30_000, what: "A checkpoint being seen by the other plane" },
    );
  }
}

interface Verdict {
  readonly plane: "data" | "control";
  readonly result: string;
  readonly records: number;
  readonly firstBad: number | null | undefined;
  readonly problem: string | null | undefined;
  readonly alarms: string[];
}

/** Checked by a machine that has never seen the logs, unless one is named. */
function verdicts(): Promise<Verdict[]> {
  const environment = {
    ...system.environment(),
    BIPLANE_CONFIG_DIR: join(copies, "config", `${Date.now()}`),
  };
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...environment }, timeout: 60_000 };
    execFile(process.execPath, [launcher, "audit", "verify", "-o", "json"], options, (_, output, errors) => {
      try {
        resolve(JSON.parse(output) as Verdict[]);
      } catch {
        reject(new Error(errors));
      }
    });
  });
}

interface LogFiles {
  readonly folder: string;
  readonly key: Key;
}

async function filesOf(plane: "data" | "control"): Promise<LogFiles> {
  const state = join(system.folder, plane);
  if (plane === "data") {
    const key = deriveKey(await readKeyFile(join(state, "keys", "system.key")), "audit log");
    return { folder: join(state, "audit"), key };
  }
  const key = deriveKey(await readKeyFile(join(state, "state.key")), `audit log ${controlLogName(org)}`);
  return { folder: join(state, "audit", "organizations", org), key };
}

/** Writes the log's records anew; every file is well-formed afterwards. */
async function rewrite(
  { folder, key }: LogFiles,
  change: (records: Uint8Array[]) => Uint8Array[],
): Promise<void> {
  const before = await openJournal({ folder, key, name: "audit" });
  const records: Uint8Array[] = [];
  for await (const { record } of before.read(1n)) records.push(record);
  await before.close();
  for (const name of readdirSync(folder)) if (name.startsWith("audit-")) rmSync(join(folder, name));
  const journal = await openJournal({ folder, key, name: "audit" });
  await journal.appendMany(change(records));
  await journal.close();
}

type ByPlane = Readonly<Record<(typeof planes)[number], object>>;

async function verdictsByPlane(): Promise<ByPlane> {
  const all = await verdicts();
  return Object.fromEntries(planes.map((name) => [name, all.find(({ plane }) => plane === name)])) as ByPlane;
}

describe("either plane's log", () => {
  const rewriteBoth = async (change: (records: Uint8Array[]) => Uint8Array[]) => {
    for (const plane of planes) await rewrite(await filesOf(plane), change);
  };

  test("control: verifies after a restart in which nothing was changed", async () => {
    await restarted(async () => undefined);
    const intact = { result: "intact", alarms: [] };
    expect(await verdictsByPlane()).toMatchObject({ data: intact, control: intact });
  });

  test("a record that was written anew is named", async () => {
    await restarted(() => rewriteBoth((records) => records.with(2, new TextEncoder().encode("{}"))));
    const changed = { result: "CHANGED", firstBad: 2 };
    expect(await verdictsByPlane()).toMatchObject({ data: changed, control: changed });
  });

  test("where a record was dropped, the first one that is wrong is named", async () => {
    await restarted(() => rewriteBoth((records) => records.toSpliced(3, 1)));
    const changed = { result: "CHANGED", firstBad: 3 };
    expect(await verdictsByPlane()).toMatchObject({ data: changed, control: changed });
  });

  test("where the tail was cut off, the first missing record is named", async () => {
    const kept: number[] = [];
    await restarted(() =>
      rewriteBoth((records) => {
        kept.push(records.length - 2);
        return records.slice(0, -2);
      }),
    );
    const [data, control] = kept.map((firstBad) => ({ result: "CHANGED", firstBad }));
    expect(await verdictsByPlane()).toMatchObject({ data, control });
  });
});

describe.each(planes)("the %s plane's log", (plane) => {
  const found = async () => (await verdicts()).find((one) => one.plane === plane)!;

  test("a fork from an earlier state is refused by the other plane, and the first other record is named", async () => {
    await restarted(async () => {
      const { folder } = await filesOf(plane);
      const place = folder.slice(system.folder.length);
      rmSync(folder, { recursive: true });
      cpSync(join(copies, "earlier", place), folder, { recursive: true });
    });
    const verdict = await eventually(found, ({ alarms }) => alarms.length > 0, {
      withinMs: 30_000,
      what: "The other plane refusing the fork",
    });
    expect(verdict).toMatchObject({ result: "CHANGED", firstBad: expect.any(Number) });
    expect(verdict.alarms.join()).toMatch(/rolled_back|forked/);
    expect(verdict.firstBad).toBeLessThanOrEqual(sizes[plane]);
  });

  test("once the other plane's operator accepts it as a restore, the log goes on and verifies, and that is on record", async () => {
    const other = plane === "data" ? "control" : "data";
    const names = plane === "data" ? ["--org", org, "--cluster", cluster] : [];
    const state = ["--state", join(system.folder, other)];
    const accepted = await runProgram(other, ["accept-restore", ...state, ...names]);
    expect(accepted).toMatchObject({ rememberedSize: expect.any(Number) });
    await eventually(found, ({ result, alarms }) => result === "intact" && alarms.length === 0, {
      withinMs: 30_000,
      what: "The other plane witnessing the restored log",
    });
    const kept = plane === "data" ? audit.AuditPlane.CONTROL : audit.AuditPlane.DATA;
    const request = { plane: kept, codes: ["WITNESS_RESTORE_ACCEPTED"] };
    const records: unknown[] = [];
    const service = createClient(audit.AuditService, system.transport());
    for await (const { record } of service.readRecords(request)) records.push(decodeAuditRecord(record));
    expect(records).toMatchObject([{ decision: "allowed", subject: "operator" }]);
    const again = runProgram(other, ["accept-restore", ...state, ...names]);
    await expect(again, "control: there is nothing more to accept").rejects.toThrow(/is not refused/);
  });
});
