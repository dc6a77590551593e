/**
 * The audit logs of a whole system: read, checked and exported by the command line, fetched by a public tool that knows
 * nothing of Biplane, and tampered with on either plane's disk (claims AUD-1…4, TRUST-4).
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { audit } from "@biplane/data-wire";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fsckPath, missingTools } from "../support/find-tools.ts";
import { type System, startSystem } from "./system.ts";

const launcher = join(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
let system: System;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "biplane-audit-"));
  system = await startSystem();
});
afterAll(async () => {
  await system?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function run(program: string, words: readonly string[], environment: Record<string, string>): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...environment }, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 };
    execFile(program, words, options, (error, output, errors) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, output, errors });
    });
  });
}

const biplane = (...words: string[]) =>
  run(process.execPath, [launcher, ...words], {
    ...system.environment(),
    BIPLANE_CONFIG_DIR: join(folder, "config"),
  });

interface Verdict {
  readonly plane: "data" | "control";
  readonly result: string;
  readonly records: number;
  readonly checked: number;
  readonly countersigned: number;
  readonly firstBad: number | null | undefined;
  readonly key: string;
  readonly alarms: string[];
}

async function verify(): Promise<{ code: number; verdicts: Verdict[]; errors: string }> {
  const { code, output, errors } = await biplane("audit", "verify", "-o", "json");
  return { code, errors, verdicts: JSON.parse(output) as Verdict[] };
}

async function lines(...words: string[]): Promise<Record<string, unknown>[]> {
  const { code, output, errors } = await biplane("audit", ...words);
  expect(errors).toBe("");
  expect(code).toBe(0);
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("both untouched logs verify, and each is countersigned by the other plane (claims AUD-3, TRUST-4)", async () => {
  const service = createClient(audit.AuditService, system.transport());
  await eventually(
    () => service.getLog({ plane: audit.AuditPlane.DATA }),
    ({ countersigned, seen }) => countersigned !== "" && seen.length > 0,
    { withinMs: 20_000, what: "A countersignature of the control plane" },
  );
  await eventually(
    () => service.getLog({ plane: audit.AuditPlane.CONTROL }),
    ({ seen }) => seen.length > 0,
    { withinMs: 20_000, what: "The data plane remembering the control plane's log" },
  );
  const { code, verdicts } = await verify();
  expect(verdicts).toMatchObject([
    { plane: "data", result: "intact", alarms: [] },
    { plane: "control", result: "intact", alarms: [] },
  ]);
  for (const { records, checked } of verdicts) expect(checked).toBe(records);
  expect(verdicts[0]!.countersigned).toBeGreaterThan(0);
  expect(code).toBe(0);
  expect((await verify()).code).toBe(0);
});

test("records are found by identity, resource, code, decision and plane (claim AUD-2)", async () => {
  const created = await lines("query", "-o", "json", "--code", "PROJECT_CREATED", "--since", "1h");
  expect(created.map(({ code, project, decision }) => [code, project, decision])).toContainEqual([
    "PROJECT_CREATED",
    "flights",
    "allowed",
  ]);
  const { subject } = created[0]!;
  const bySubject = await lines("query", "-o", "json", "--subject", String(subject), "--resource", "flights");
  expect(new Set(bySubject.map((record) => record["subject"]))).toEqual(new Set([subject]));
  const atControl = await lines(
    "query",
    "-o",
    "json",
    "--plane",
    "control",
    "--code",
    "INDEX_PROJECT_CREATED",
  );
  expect(atControl[0]).toMatchObject({ plane: "control", subject, cluster: "home", addressFrom: "peer" });
  expect(await lines("query", "-o", "json", "--until", "1d")).toEqual([]);
});

test("records are exported as JSON Lines and in OCSF (claim AUD-4)", async () => {
  const [plain, events] = [await lines("export"), await lines("export", "--format", "ocsf")];
  expect(plain.length).toBeGreaterThan(3);
  for (const [index, event] of events.slice(0, plain.length).entries()) {
    expect(event).toMatchObject({ class_uid: 6003, time: plain[index]!["atMs"] });
  }
});

const missing = missingTools(["fsck"]);

describe.skipIf(missing !== undefined)(`a tool that knows tlog-tiles alone ${missing ?? ""}`, () => {
  test.each(["data", "control"] as const)("accepts the %s plane's log (claim TRUST-4)", async (plane) => {
    const { verdicts } = await verify();
    const keyOf = (wanted: string) => verdicts.find((one) => one.plane === wanted)!.key;
    expect(await fsck(plane, keyOf(plane))).toMatch(/Completed ranges/);
    // Control: under the other log's key it is not accepted.
    const other = plane === "data" ? "control" : "data";
    expect(await fsck(plane, keyOf(other))).toMatch(/fsck failed/);
  });
});

/** What the tool says; it ends the same way whatever it finds. */
async function fsck(plane: string, key: string): Promise<string> {
  const [authority, publicKey] = [join(folder, "root.pem"), join(folder, "log.pub")];
  writeFileSync(authority, system.profile.rootPem);
  writeFileSync(publicKey, key);
  const { errors } = await run(
    fsckPath,
    [
      ...["--storage_url", `${system.profile.router}/audit/${plane}/`, "--public_key", publicKey],
      ...["--bearer_token", await system.token(), "--ui=false", "--v=1"],
    ],
    { SSL_CERT_FILE: authority },
  );
  return errors;
}

test("a log's files are for those who may read it: strangers get nothing, and are on record", async () => {
  const client = await system.connect();
  const { status } = await client.connection.http.send(`${system.profile.router}/audit/data/checkpoint`, {
    method: "GET",
  });
  expect(status).toBe(401);
  const refused = await lines("query", "-o", "json", "--decision", "unauthenticated");
  expect(refused.at(-1)).toMatchObject({ method: "GET /audit/data/checkpoint", subject: "" });
});

/** The newest of the files that hold a plane's records. */
function newestSegment(state: string, place: string): string {
  const audits = join(system.folder, state, "audit", place);
  expect(existsSync(audits)).toBe(true);
  const names = readdirSync(audits).filter((name) => /^audit-\d+\.journal$/.test(name));
  return join(audits, names.sort().at(-1)!);
}

test.each([
  ["data", "data", ""],
  ["control", "control", "organizations/acme"],
] as const)(
  "one flipped byte on the disk of the %s plane is found, and the record named",
  async (plane, state, place) => {
    const path = newestSegment(state, place);
    const before = readFileSync(path);
    const bytes = Buffer.from(before);
    // In the first frame: what is newer than the newest checkpoint is not promised yet, for up to a second.
    bytes[60]! ^= 1;
    // The plane goes on writing behind what was there.
    const flip = (content: Buffer) => writeFileSync(path, content.subarray(0, before.length), { flag: "r+" });
    flip(bytes);
    const { code, verdicts, errors } = await verify();
    expect(code).not.toBe(0);
    const found = verdicts.find((one) => one.plane === plane)!;
    expect(found).toMatchObject({ result: "CHANGED", firstBad: expect.any(Number) });
    expect(errors).toContain(`record ${found.firstBad}`);
    flip(before);
    expect((await verify()).verdicts.map(({ result }) => result)).toEqual(["intact", "intact"]);
  },
);
