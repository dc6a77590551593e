/**
 * Both planes' databases as at one moment, after a run: copies beside the planes, so that they may be looked into
 * and changed. A database that has a URL is the planes' own one: whoever changes anything there takes it back.
 */
import { join } from "node:path";
import { type Database, openDatabase } from "@biplane/kit/database";
import { controlMigrations } from "../../planes/control/store/migrations.ts";
import { dataMigrations } from "../../planes/data/store/migrations.ts";
import type { Subject } from "../frame/subject.ts";
import { frozenCopy } from "../machine/freeze.ts";
import { housedRun } from "./housed-run.ts";

const planes = ["control", "data"] as const;
const migrations = { control: controlMigrations, data: dataMigrations };

export interface PlaneDatabase {
  readonly plane: (typeof planes)[number];
  readonly database: Database<unknown>;
}

export async function planeDatabases(subject: Subject): Promise<readonly PlaneDatabase[]> {
  await subject.scene(housedRun);
  return Promise.all(planes.map((plane) => open(subject, plane)));
}

async function open(subject: Subject, plane: PlaneDatabase["plane"]): Promise<PlaneDatabase> {
  const { pid, state, databaseUrl: url } = subject.planes[plane];
  const folder = join(subject.folder, "databases", plane);
  if (url === undefined) await frozenCopy(pid, join(state, "database"), folder);
  const database = await openDatabase<unknown>({ folder, url }, migrations[plane]);
  subject.undo.add(() => database.close());
  return { plane, database };
}
