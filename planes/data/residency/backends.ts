/** The backends of this plane, each with the way to learn its region: by asking it where it can be asked. */
import type { Database } from "@biplane/kit/database";
import { sql } from "kysely";
import type { KeyProvider } from "../keys/types.ts";
import type { ObjectStore } from "../objects/types.ts";
import type { DataSchema } from "../store/schema.ts";
import type { Backend, Located } from "./regions.ts";

export interface BackendParts {
  /** Where files of this machine are. */
  readonly region: string;
  readonly database: Pick<Database<DataSchema>, "kind" | "kysely">;
  readonly databaseUrl: string | undefined;
  /** Where the operator says that the database is. */
  readonly databaseRegion: string | undefined;
  readonly objects: Pick<ObjectStore, "region">;
  readonly keys: Pick<KeyProvider, "kind" | "region">;
}

export function backendsOf(parts: BackendParts): readonly Backend[] {
  const beside = async (): Promise<Located> => ({ region: parts.region, source: "beside" });
  return [
    {
      name: "objects",
      kind: "embedded",
      locate: async () => ({ region: parts.objects.region, source: "asked" }),
    },
    {
      name: "database",
      kind: parts.database.kind,
      locate: () => (parts.database.kind === "pglite" ? beside() : locateDatabase(parts)),
    },
    {
      name: "keys",
      kind: parts.keys.kind,
      locate: async () => (await parts.keys.region()) ?? beside(),
    },
    { name: "logs", kind: "embedded", locate: beside },
    { name: "audit", kind: "embedded", locate: beside },
  ];
}

/** https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_CommonTasks.Connect.html */
const rdsHost = /\.([a-z]{2}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com(?:\.cn)?$/;

/** PostgreSQL has no notion of regions; its operator can give it one, which then travels with the database. */
async function locateDatabase({ database, databaseUrl, databaseRegion }: BackendParts): Promise<Located> {
  const { rows } = await sql<{ region: string | null }>`
    select current_setting('biplane.region', true) as region`.execute(database.kysely);
  const said = rows[0]?.region || rdsHost.exec(hostOf(databaseUrl))?.[1];
  if (said !== undefined) return { region: said, source: "asked" };
  return { region: databaseRegion, source: "declared" };
}

function hostOf(url: string | undefined): string {
  return url !== undefined && URL.canParse(url) ? new URL(url).hostname : "";
}
