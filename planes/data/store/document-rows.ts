/** Documents: what was submitted, byte for byte, under the key of its project and its SHA-256. Written once. */
import { createHash } from "node:crypto";
import { BiplaneError, type Digest, type OrgId } from "@biplane/base";
import { sql, type Transaction } from "kysely";
import { type BulkColumn, BulkStatement, base64, names, values } from "./bulk.ts";
import type { ProjectPlace, ProjectSealer } from "./project-sealing.ts";
import type { DataSchema } from "./schema.ts";

/** A document with its content at hand. */
export interface NewDocument {
  readonly project: string;
  readonly digest: Digest;
  readonly content: Uint8Array;
  /** The same under the project's key, as it is stored. */
  readonly sealed: Uint8Array;
}

const columns: readonly BulkColumn[] = [
  { name: "org_id", type: "text" },
  { name: "project", type: "text" },
  { name: "digest", type: "text" },
  { name: "content", type: "bytea" },
];
const insertion = new BulkStatement(
  columns,
  (rows) => sql`insert into document (${names(columns)}) select ${values(columns)} from ${rows}
    on conflict (org_id, digest, project) do update set content = excluded.content`,
);

export function digestOf(content: Uint8Array): Digest {
  return createHash("sha256").update(content).digest("hex") as Digest;
}

/** Names a document within the organization: projects have no slash in their names. */
export function documentName(project: string, digest: Digest): string {
  return `${project}/${digest}`;
}

export function documentPlace(project: string, digest: Digest): ProjectPlace {
  return { table: "document", column: "content", row: [project, digest] };
}

/** What is there already has the same content, and gets the newer key. */
export async function insertDocuments(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  documents: Iterable<NewDocument>,
): Promise<void> {
  const rows = [...documents].map(({ project, digest, sealed }) => ({
    org_id: org,
    project,
    digest,
    content: base64(sealed),
  }));
  await insertion.run(transaction, rows);
}

/** As it is stored; undefined where there is none. */
export async function readDocument(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  project: string,
  digest: Digest,
): Promise<Uint8Array | undefined> {
  const row = await transaction
    .selectFrom("document")
    .select("content")
    .where("org_id", "=", org)
    .where("project", "=", project)
    .where("digest", "=", digest)
    .executeTakeFirst();
  return row?.content;
}

/** `data_loss` where the stored bytes are not the ones of the digest; reason `key_disabled` without the key. */
export async function openDocument(
  sealer: ProjectSealer,
  project: string,
  digest: Digest,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const content = await sealer.open(documentPlace(project, digest), sealed);
  if (digestOf(content) === digest) return content;
  throw new BiplaneError("data_loss", "A stored document does not match its digest.", {
    reason: "document_changed",
  });
}

/** Those of the named documents that there are. */
export async function readPresentDocuments(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  wanted: readonly string[],
): Promise<ReadonlyMap<string, true>> {
  const digests = [...new Set(wanted.map((name) => name.slice(name.indexOf("/") + 1)))];
  const rows = await transaction
    .selectFrom("document")
    .select(["project", "digest"])
    .where("org_id", "=", org)
    .where("digest", "in", digests)
    .execute();
  return new Map(rows.map(({ project, digest }) => [documentName(project, digest as Digest), true]));
}
