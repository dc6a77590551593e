/**
 * Everything that this installation keeps of one run, read with each store's own client: objects over S3, log lines from
 * the log store, rows of both databases with the planes' own keys. Plane internals, for looking into the databases.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import type { Digest, OrgId, RunId } from "@biplane/base";
import { deriveKey, readKeyFile } from "@biplane/kit/crypto";
import type { Database } from "@biplane/kit/database";
import { readConfig } from "../../planes/data/config.ts";
import { openKeyProvider } from "../../planes/data/keys/open-provider.ts";
import { ProjectKeys } from "../../planes/data/keys/project-keys.ts";
import { Texts } from "../../planes/data/runs/texts.ts";
import { statePaths } from "../../planes/data/state.ts";
import { readActionsOfRun } from "../../planes/data/store/action-rows.ts";
import { openDocument, readDocument } from "../../planes/data/store/document-rows.ts";
import { ProjectSealer } from "../../planes/data/store/project-sealing.ts";
import { readRun } from "../../planes/data/store/run-rows.ts";
import type { DataSchema } from "../../planes/data/store/schema.ts";
import { Sealer } from "../../planes/data/store/sealing.ts";
import { type Subject, verifyProject } from "../frame/subject.ts";
import { frozenCopy } from "../machine/freeze.ts";
import { askStore, listStore, storeCredentials } from "../machine/operator.ts";
import { controlPlaneRows } from "../search/control-plane-rows.ts";
import { housedRun } from "./housed-run.ts";
import { planeDatabases } from "./plane-databases.ts";

/** As the documentation calls it. */
export type Place =
  | "object store: code-bundles"
  | "object store: uploads"
  | "object store: inputs"
  | "object store: the run's own"
  | "object store: other runs"
  | "log store"
  | "data plane's database"
  | "control plane's database";

export interface Content {
  readonly place: Place;
  /** Object key, table, or action. */
  readonly name: string;
  readonly bytes: Buffer;
}

const clockSkewMs = 2_000;
const objectBytesMax = 8 * 1024 * 1024;

export async function contents(subject: Subject): Promise<readonly Content[]> {
  return [
    ...(await objectsSince(subject)),
    ...(await logLines(subject)),
    ...(await dataPlaneRows(subject)),
    ...(await controlRows(subject)),
  ];
}

/** Of what was written since the run began, below its project. */
export async function objectsSince(subject: Subject): Promise<Content[]> {
  const { startedMs, run } = await subject.scene(housedRun);
  const { profile } = subject.connection;
  const credentials = await storeCredentials(subject.planes.data.state);
  const prefix = `${profile.org}/${verifyProject}/`;
  const listed = await listStore(profile, credentials, prefix);
  const recent = listed.filter(
    ({ sizeBytes, modifiedAtMs }) => sizeBytes <= objectBytesMax && modifiedAtMs >= startedMs - clockSkewMs,
  );
  const found: Content[] = [];
  for (const { key } of recent) {
    const { status, bytes } = await askStore(profile, credentials, "GET", `/${profile.bucket}/${key}`);
    if (status === 200) found.push({ place: placeOf(key, run.name), name: key, bytes });
  }
  return found;
}

/** `<org>/<project>/<domain>/…` */
function placeOf(key: string, run: string): Place {
  const folder = key.split("/")[3];
  if (folder === "code-bundles" || folder === "uploads" || folder === "inputs")
    return `object store: ${folder}`;
  return folder === run ? "object store: the run's own" : "object store: other runs";
}

async function logLines(subject: Subject): Promise<Content[]> {
  const { run } = await subject.scene(housedRun);
  const { runs } = subject.connection;
  const { actions } = await runs.listActions({ runId: run.id, request: { limit: 100 } });
  const found: Content[] = [];
  for (const name of actions.map(({ id }) => id?.name ?? "")) {
    const lines: string[] = [];
    for await (const { text } of run.logs({ action: name, signal: subject.signal })) lines.push(text);
    found.push({ place: "log store", name, bytes: Buffer.from(lines.join("\n")) });
  }
  return found;
}

async function dataPlaneRows(subject: Subject): Promise<Content[]> {
  const { run } = await subject.scene(housedRun);
  const { database } = (await subject.scene(planeDatabases)).find(({ plane }) => plane === "data")!;
  const { org, project, domain, name } = run.id;
  const id = { org, project, domain, run: name } as RunId;
  const { sealer, documents, texts, close } = await openSeals(subject, id.org);
  try {
    const stored = await (database as Database<DataSchema>).asOrg(org, async (transaction) => {
      const record = await readRun(transaction, sealer, id);
      const actions = await readActionsOfRun(transaction, sealer, subject.connection.profile.bucket, id);
      const digests = [
        ...[record?.record.documentDigest, record?.taskSpecDigest, record?.runSpecDigest],
        ...actions.map((action) => action.record.specDigest),
      ].filter((digest) => digest !== undefined);
      const sealed = new Map<Digest, Uint8Array | undefined>();
      for (const digest of digests)
        sealed.set(digest, await readDocument(transaction, id.org, project, digest));
      return { record, actions, sealed };
    });
    const rows = [
      { name: "run", bytes: bytesOf(stored.record) },
      ...(await Promise.all(
        stored.actions.map(async (action) => ({
          name: `action ${action.record.action}`,
          bytes: bytesOf({ ...action, record: await texts.open(action.record) }),
        })),
      )),
    ];
    for (const [digest, content] of stored.sealed) {
      if (content === undefined) continue;
      const bytes = Buffer.from(await openDocument(documents, project, digest, content));
      rows.push({ name: `document ${digest}`, bytes });
    }
    return rows.map((row) => ({ place: "data plane's database", ...row }));
  } finally {
    await close();
  }
}

/** The registry of keys is read from a copy, the customer's keys from where they are. */
async function openSeals(subject: Subject, org: OrgId) {
  const paths = statePaths(subject.planes.data.state);
  const systemKey = await readKeyFile(paths.systemKey);
  const folder = join(subject.folder, "project-keys");
  cpSync(paths.projectKeys, folder, { recursive: true });
  const config = await readConfig(paths.config);
  const provider = await openKeyProvider(config.keys, paths.customerKeys);
  const keys = await ProjectKeys.open({ folder, systemKey, provider });
  const documents = new ProjectSealer(keys, org);
  const sealer = new Sealer(deriveKey(systemKey, "runs"), org);
  return { sealer, documents, texts: new Texts(documents), close: () => keys.close() };
}

async function controlRows(subject: Subject): Promise<Content[]> {
  const { pid, state, databaseUrl } = subject.planes.control;
  const folder = join(subject.folder, "control-contents");
  await frozenCopy(pid, state, folder);
  const tables = await controlPlaneRows(folder, subject.connection.profile.org, databaseUrl);
  return tables.map(({ table, text }) => ({
    place: "control plane's database",
    name: table,
    bytes: Buffer.from(text),
  }));
}

function bytesOf(record: object | undefined): Buffer {
  const plain = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
  return Buffer.from(JSON.stringify(record ?? {}, plain));
}
