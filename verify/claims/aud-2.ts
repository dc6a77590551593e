/** AUD-2: what happens is on record, and is found by time, identity and resource. */
import { type AuditCode, type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import { planeNumbers } from "@biplane/cli/commands/audit-verify";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { currentVersion, disable, makeKeyProject, reportedRun } from "../scenes/key-project.ts";
import { plantedRun } from "../scenes/planted-run.ts";

const provoked: readonly (readonly [what: string, code: AuditCode])[] = [
  ["a run that was created", "RUN_CREATED"],
  ["a run that was aborted", "RUN_ABORTED"],
  ["an API key that was made", "API_KEY_CREATED"],
  ["an API key that was deleted", "API_KEY_DELETED"],
  ["a project that was made", "PROJECT_CREATED"],
  ["a key that was disabled", "KEY_DISABLED"],
  ["a key that was enabled", "KEY_ENABLED"],
  ["the plane's start", "PLANE_STARTED"],
];

export const aud2: Claim = {
  id: "AUD-2",
  text: "Run and action lifecycle, per-attempt errors, RBAC changes, user management, key operations, cluster state changes and tunnel health are recorded.",
  from: "client",

  async prove(subject, seen) {
    const { run, aborted } = await subject.scene(plantedRun);
    const { apiKeys, identity } = subject.connection;
    const { key } = await apiKeys.createApiKey({ name: "verify aud-2", role: "Viewer" });
    await apiKeys.deleteApiKey({ id: key?.id ?? "" });
    const project = await makeKeyProject(subject);
    await reportedRun(project.client, 1);
    const enable = await disable(subject, project, await currentVersion(project));
    await enable();
    const all = await records(subject);
    seen.none(`provoked ${provoked.length} kinds of events and read them back`, notOnRecord(all));
    const ofRun = all.filter((one) => one.run === run.name);
    const codes = new Set(ofRun.map(({ code }) => code));
    seen.holds(
      "looked for the planted run",
      ofRun.length > 5,
      `${ofRun.length} records: ${[...codes].join(", ")}`,
    );
    const failures = ofRun.filter(({ reason }) => reason !== undefined && reason !== "");
    seen.holds(
      "looked for the attempt in it that fails",
      failures.length > 0,
      `${failures[0]?.code}, ${failures[0]?.reason}`,
    );
    const { subject: who } = await identity.userInfo({});
    const mine = all.filter((one) => one.subject === who && one.run === aborted.name);
    seen.holds(
      "looked by identity and resource for the run that was aborted",
      mine.some(({ code }) => code === "RUN_ABORTED"),
      `${mine.length} records of ${who}`,
    );
  },

  async control(subject, seen) {
    const all = await records(subject);
    const before = notOnRecord(all);
    const after = notOnRecord(all.filter(({ code }) => code !== "PLANE_STARTED"));
    const found = after.filter((one) => !before.includes(one));
    return seen.caught(
      "a copy of the records without the plane's start, read in the same way",
      found,
      /start/,
    );
  },
};

function notOnRecord(all: readonly AuditRecord[]): string[] {
  const missing = provoked.filter(([, code]) => !all.some((one) => one.code === code));
  return missing.map(([what, code]) => `${what} is not on record as ${code}`);
}

async function records({ connection }: Subject): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  for await (const { record } of connection.audit.readRecords({ plane: planeNumbers.data }))
    found.push(decodeAuditRecord(record));
  return found;
}
