/**
 * The control plane's audit logs: one for each organization, which its clusters witness, and one for what concerns none.
 * A record is on disk before the answer leaves (claim AUD-1); it names who, what and how it ended, and has no place for
 * what a message held.
 */
import { join } from "node:path";
import { controlLogName, dataLogName, providerLogName } from "@biplane/audit";
import { type Closeable, Closers, deriveKey, type Key, type Logger, systemClock } from "@biplane/kit";
import {
  type AuditLog,
  keepRecordsFor,
  openAuditLog,
  openWitnessPeer,
  RefusalRecorder,
  type WitnessPeer,
} from "@biplane/kit/audit-log";

export interface AuditLogs extends Closeable {
  /** Of what belongs to no organization: the provider's own doings, and strangers. */
  readonly provider: AuditLog;
  readonly refusals: RefusalRecorder;
  /** Ask for organizations only that a certificate or the operator named: each has files of its own. */
  of(org: string): Promise<AuditLog>;
  /** The cluster as witness of its organization's log, and the other way round. */
  witnessOf(org: string, cluster: string): Promise<WitnessPeer>;
}

/** `keptMs`: how long records are kept at least; for ever where absent. Their hashes stay in any case. */
export async function openAuditLogs(
  folder: string,
  rootKey: Key,
  log: Logger,
  keptMs?: number,
): Promise<AuditLogs> {
  const closers = new Closers();
  const logs = new Map<string, Promise<AuditLog>>();
  const peers = new Map<string, Promise<WitnessPeer>>();
  const open = async (name: string, place: string, org: string) => {
    const opened = closers.add(
      await openAuditLog({
        folder: join(folder, "audit", place),
        key: deriveKey(rootKey, `audit log ${name}`),
        origin: name,
        place: { plane: "control", org },
        clock: systemClock,
        log,
      }),
    );
    if (keptMs !== undefined) closers.add(keepRecordsFor(opened, keptMs, systemClock, log));
    return opened;
  };
  const provider = await open(providerLogName, "provider", "");
  const refusals = closers.add(new RefusalRecorder(provider, systemClock, log));
  const of = (org: string) =>
    once(logs, org, () => open(controlLogName(org), join("organizations", org), org));
  const witnessOf = (org: string, cluster: string) =>
    once(peers, `${org}/${cluster}`, async () => {
      const own = await of(org);
      const otherName = dataLogName(org, cluster);
      const path = join(folder, "audit", "organizations", org, `witnessed-${cluster}.sealed`);
      const key = deriveKey(rootKey, `audit witness ${otherName}`);
      return closers.add(await openWitnessPeer({ own, otherName, path, key, clock: systemClock, log }));
    });
  return { provider, refusals, of, witnessOf, close: () => closers.close() };
}

/** Two callers at once must not open the same files twice; a failure is tried again. */
function once<T>(known: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  let made = known.get(name);
  if (made === undefined) {
    made = make();
    made.catch(() => known.delete(name));
    known.set(name, made);
  }
  return made;
}
