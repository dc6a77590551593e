/**
 * The control plane of verify's own planes, taken over: a modified one on the honest one's state and keys, in its place. The
 * last scene of those planes; plane internals, for what only an attacker does.
 */
import { join } from "node:path";
import { type AuditCode, type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import { audit } from "@biplane/data-wire";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote";
import { eventually } from "../frame/eventually.ts";
import type { Subject } from "../frame/subject.ts";
import {
  type HostileControlPlane,
  intentAttacks,
  messageAttacks,
  startHostileControlPlane,
} from "../hostile-control-plane/index.ts";
import { workflowFile } from "../machine/sources.ts";
import { stage, stageOrg } from "./stage.ts";

export interface TakenOver {
  readonly hostile: HostileControlPlane;
  readonly client: RemoteClient;
  /** Asks for a run, and how it ended. */
  honestRun(): Promise<{ run: RemoteRun; succeeded: boolean; error: string | undefined }>;
  records(...codes: AuditCode[]): Promise<AuditRecord[]>;
}

export async function takenOver(subject: Subject): Promise<TakenOver> {
  const { system, client, ports } = await subject.scene(stage);
  await system.processes.find(({ name }) => name === "control")?.stop();
  const folder = system.folders.control;
  const hostile = await startHostileControlPlane({
    ...{ folder, port: ports.link, org: stageOrg },
    logPath: join(system.folders.logs, "hostile.log"),
  });
  subject.undo.add(() => hostile.stop());
  const begin = () =>
    client.run({ file: workflowFile("sizes.ts"), task: "answer" }, { text: "x", characters: 1 });
  const honestRun = async () => {
    const run = await eventually(begin, () => true, { withinMs: 30_000, what: "A run being accepted" });
    return { run, ...(await run.wait(AbortSignal.timeout(30_000))) };
  };
  const records = async (...codes: AuditCode[]) => {
    const found: AuditRecord[] = [];
    const request = { plane: audit.AuditPlane.DATA, codes };
    for await (const { record } of client.connection.audit.readRecords(request))
      found.push(decodeAuditRecord(record));
    return found;
  };
  await honestRun();
  // A second version of the policy, so that there is an older one.
  await client.connection.apiKeys.createApiKey({ name: "second", role: "Viewer" });
  return { hostile, client, honestRun, records };
}

type ClaimId = "TRUST-1" | "TRUST-2" | "TRUST-3";

export function attacksOn(claim: ClaimId): { intents: string[]; messages: string[] } {
  const of = (attacks: Readonly<Record<string, { readonly claim: string }>>) =>
    Object.keys(attacks).filter((name) => attacks[name]?.claim === claim);
  return { intents: of(intentAttacks), messages: of(messageAttacks) };
}

/** What came of an attack that should not have; none where it was refused, on record and shown. */
export async function tryIntent({ hostile, honestRun, records }: TakenOver, name: string): Promise<string[]> {
  const attack = intentAttacks[name]!;
  const before = (await records("INTENT_REFUSED")).length;
  await hostile.changeIntents(name);
  try {
    const { run, succeeded, error } = await honestRun();
    if (succeeded) return [`${name}: the run was done`];
    if (!attack.shown.test(error ?? "")) return [`${name}: the run's error says ${error}`];
    const started = (await run.details()).attempts.some(({ startTime }) => startTime !== undefined);
    if (started) return [`${name}: something was started`];
  } finally {
    await hostile.beHonest();
  }
  return noted(name, async () =>
    (await records("INTENT_REFUSED")).slice(before).some(({ reason }) => reason === attack.audited),
  );
}

export async function tryMessage(
  { hostile, client, honestRun, records }: TakenOver,
  name: string,
): Promise<string[]> {
  const { code, reason } = messageAttacks[name]!.audited;
  // Also brings every type of message into this connection.
  await honestRun();
  const before = (await records(code)).length;
  const runs = (await client.list()).length;
  await hostile.say(name);
  const found = await noted(name, async () =>
    (await records(code)).slice(before).some((one) => reason.test(one.reason ?? "")),
  );
  return (await client.list()).length === runs ? found : [...found, `${name}: a run came of it`];
}

async function noted(name: string, isThere: () => Promise<boolean>): Promise<string[]> {
  try {
    await eventually(isThere, Boolean, { withinMs: 15_000, what: "A record of it" });
    return [];
  } catch {
    return [`${name}: it is not on record as refused`];
  }
}
