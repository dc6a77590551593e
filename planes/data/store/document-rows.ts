/** Documents: what was submitted, byte for byte, sealed, under its SHA-256. Written once. */
import { createHash } from "node:crypto";
import { BiplaneError, type Digest, type OrgId } from "@biplane/base";
import { sql, type Transaction } from "kysely";
import { type BulkColumn, base64, inChunks, names, values } from "./bulk.ts";
import type { DataSchema } from "./schema.ts";
import type { Sealer } from "./sealing.ts";

const columns: readonly BulkColumn[] = [
  { name: "org_id", type: "text" },
  { name: "digest", type: "text" },
  { name: "content", type: "bytea" },
];

export function digestOf(content: Uint8Array): Digest {
  return createHash("sha256").update(content).digest("hex") as Digest;
}

export async function insertDocuments(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  org: OrgId,
  documents: ReadonlyMap<Digest, Uint8Array>,
): Promise<void> {
  const rows = [...documents].map(([digest, content]) => ({
    org_id: org,
    digest,
    content: base64(sealer.seal("document", "content", [digest], content)),
  }));
  await inChunks(
    transaction,
    columns,
    rows,
    (unpacked) => sql`insert into document (${names(columns)}) select ${values(columns)} from ${unpacked}
      on conflict (org_id, digest) do nothing`,
  );
}

/** Undefined where there is none; `data_loss` where the stored bytes are not the ones of the digest. */
export async function readDocument(
  transaction: Transaction<DataSchema>,
  sealer: Sealer,
  org: OrgId,
  digest: Digest,
): Promise<Uint8Array | undefined> {
  const row = await transaction
    .selectFrom("document")
    .select("content")
    .where("org_id", "=", org)
    .where("digest", "=", digest)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const content = sealer.open("document", "content", [digest], row.content);
  if (digestOf(content) === digest) return content;
  throw new BiplaneError("data_loss", "A stored document does not match its digest.", {
    reason: "document_changed",
  });
}

/** Those of the digests that have a document. */
export async function readPresentDigests(
  transaction: Transaction<DataSchema>,
  org: OrgId,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, true>> {
  const rows = await transaction
    .selectFrom("document")
    .select("digest")
    .where("org_id", "=", org)
    .where("digest", "in", [...digests])
    .execute();
  return new Map(rows.map(({ digest }) => [digest as Digest, true]));
}
