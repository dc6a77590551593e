/**
 * Planes of verify's own, thrown away afterwards, from the same built programs as those that are verified: for what can't
 * be asked of planes that are in use. They log their session keys and everything at trace level, all that passes over
 * their ports is captured from their first call on, and a planted run is made on them.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type MachineCredentials, makeAdministrator } from "@biplane/cli/dev/first-administrator";
import { type LocalSystem, startLocalSystem } from "@biplane/cli/dev/local-system";
import { choosePorts, type Ports, writeSettings } from "@biplane/cli/dev/settings";
import { RemoteClient } from "@biplane/sdk/remote";
import { type Subject, verifyProject } from "../frame/subject.ts";
import { requireRoot, requireTools } from "../machine/tools.ts";
import {
  type Capture,
  captureLoopback,
  type Decrypted,
  decryptCapture,
  keyLogging,
} from "../wire/decrypted-link.ts";
import { type PlantedRun, plant } from "./planted-run.ts";

export const stageOrg = "verify";
export const stageCluster = "home";

export interface Stage {
  readonly system: LocalSystem;
  readonly client: RemoteClient;
  readonly credentials: MachineCredentials;
  readonly claim: string;
  readonly ports: Ports;
  readonly planted: PlantedRun;
  /** Ended. */
  readonly capture: Capture;
  /** Session keys, by whose they are. */
  readonly keyLogs: Readonly<Record<"control" | "edge" | "data", string>>;
  /** One for each program. */
  readonly logs: readonly string[];
}

/** For evidence. */
export const stageWords = "planes of verify's own beside, from the same programs,";

export async function stage(subject: Subject): Promise<Stage> {
  requireRoot();
  requireTools("tcpdump", "tshark");
  const folder = join(subject.folder, "stage");
  mkdirSync(folder, { mode: 0o700 });
  const ports = await choosePorts(undefined);
  await writeSettings(folder, { org: stageOrg, cluster: stageCluster, ports });
  const capture = await captureLoopback(join(folder, "all.pcap"), Object.values(ports));
  const stopCapture = subject.undo.add(() => capture.stop());
  const started = await start(subject, folder);
  const planted = await plant(started.client, folder, subject.signal);
  await stopCapture();
  const logs = ["control", "edge", "data"].map((name) => join(started.system.folders.logs, `${name}.log`));
  return { ...started, ports, planted, capture, logs };
}

async function start(subject: Subject, folder: string) {
  const keyLogs = {
    control: join(folder, "control.keys"),
    edge: join(folder, "edge.keys"),
    data: join(folder, "data.keys"),
  };
  const environmentOf = Object.fromEntries(
    Object.entries(keyLogs).map(([name, path]) => [name, { ...keyLogging(path), LOG_LEVEL: "trace" }]),
  );
  const system = await startLocalSystem({ folder, org: stageOrg, allowUnsandboxed: true, environmentOf });
  subject.undo.add(() => system.close());
  const { connection, credentials } = await makeAdministrator(system, verifyProject);
  const { claim = "" } = system;
  return { system, client: new RemoteClient(connection), credentials, claim, keyLogs };
}

/** What the provider's own session keys open of all that passed. */
export async function providerTraffic(subject: Subject): Promise<Decrypted> {
  const { capture, keyLogs } = await subject.scene(stage);
  return decryptCapture(capture, [keyLogs.control, keyLogs.edge]);
}
