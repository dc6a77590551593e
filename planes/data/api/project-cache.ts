/**
 * What this cluster remembers of projects: the control plane's last word on each, for when it is away, and the
 * description and labels, which people write and which therefore stay here.
 */
import type { OrgId } from "@biplane/base";
import { type Project, ProjectSchema } from "@biplane/control-wire";
import type { Database } from "@biplane/kit/database";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Sealing } from "../identity/sealing.ts";
import type { DataSchema } from "../store/schema.ts";

export interface ProjectDetails {
  readonly description: string;
  readonly labels: Readonly<Record<string, string>>;
}

const table = "project_cache";

export class ProjectCache {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #entries = new Map<string, Project>();
  readonly #details = new Map<string, ProjectDetails>();

  constructor(org: OrgId, database: Database<DataSchema>, sealing: Sealing) {
    this.#org = org;
    this.#database = database;
    this.#sealing = sealing;
  }

  async load(): Promise<void> {
    const rows = await this.#database.asOrg(this.#org, (transaction) =>
      transaction.selectFrom(table).selectAll().where("org_id", "=", this.#org).execute(),
    );
    for (const row of rows) {
      const id = row.project_id;
      if (row.index_entry !== null) {
        const bytes = this.#sealing.openBytes(table, "index_entry", id, row.index_entry);
        this.#entries.set(id, fromBinary(ProjectSchema, bytes));
      }
      if (row.details !== null) {
        this.#details.set(id, this.#sealing.open<ProjectDetails>(table, "details", id, row.details));
      }
    }
  }

  /** By id. */
  entries(): readonly Project[] {
    return [...this.#entries.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
  }

  entry(id: string): Project | undefined {
    return this.#entries.get(id);
  }

  details(id: string): ProjectDetails {
    return this.#details.get(id) ?? { description: "", labels: {} };
  }

  /** Remembers what the control plane said; writes only what changed. */
  async remember(projects: readonly Project[]): Promise<void> {
    for (const project of projects) {
      const bytes = toBinary(ProjectSchema, project);
      const known = this.#entries.get(project.id);
      if (known !== undefined && Buffer.compare(toBinary(ProjectSchema, known), bytes) === 0) continue;
      const sealed = this.#sealing.sealBytes(table, "index_entry", project.id, bytes);
      await this.#write(project.id, { index_entry: sealed });
      this.#entries.set(project.id, project);
    }
  }

  async describe(id: string, details: ProjectDetails): Promise<void> {
    await this.#write(id, { details: this.#sealing.seal(table, "details", id, details) });
    this.#details.set(id, details);
  }

  async #write(id: string, values: { index_entry: Uint8Array } | { details: Uint8Array }): Promise<void> {
    await this.#database.asOrg(this.#org, (transaction) =>
      transaction
        .insertInto(table)
        .values({ org_id: this.#org, project_id: id, ...values })
        .onConflict((conflict) => conflict.columns(["org_id", "project_id"]).doUpdateSet(values))
        .execute(),
    );
  }
}
