/** The hosts that each project's tasks were allowed on this cluster (claim RES-4). A project without any reaches nothing. */
import { BiplaneError, type OrgId } from "@biplane/base";
import type { Database } from "@biplane/kit/database";
import type { Sealing } from "../identity/sealing.ts";
import type { DataSchema } from "../store/schema.ts";
import { type AllowedHost, formatAllowedHost, parseAllowedHost } from "./allowed-hosts.ts";

export interface HostChange {
  /** As administrators write them. */
  readonly allow: readonly string[];
  readonly withdraw: readonly string[];
}

const table = "project_hosts";
const hostsMax = 256;

export class ProjectHosts {
  readonly #org: OrgId;
  readonly #database: Database<DataSchema>;
  readonly #sealing: Sealing;
  readonly #hosts = new Map<string, readonly AllowedHost[]>();
  #onChange: () => void = () => {};
  #writing: Promise<unknown> = Promise.resolve();

  constructor(org: OrgId, database: Database<DataSchema>, sealing: Sealing) {
    this.#org = org;
    this.#database = database;
    this.#sealing = sealing;
  }

  async load(): Promise<void> {
    const rows = await this.#database.asOrg(this.#org, (transaction) =>
      transaction.selectFrom(table).selectAll().where("org_id", "=", this.#org).execute(),
    );
    for (const { project_id: project, hosts } of rows) {
      const texts = this.#sealing.open<readonly string[]>(table, "hosts", project, hosts);
      this.#hosts.set(project, texts.map(parseAllowedHost));
    }
  }

  of(project: string): readonly AllowedHost[] {
    return this.#hosts.get(project) ?? [];
  }

  /** By project. */
  all(): readonly { readonly project: string; readonly hosts: readonly AllowedHost[] }[] {
    return [...this.#hosts].map(([project, hosts]) => ({ project, hosts })).sort(byProject);
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** Resolves once it is on disk and holds. Throws `invalid_argument` for what is no host. */
  change(project: string, { allow, withdraw }: HostChange): Promise<readonly AllowedHost[]> {
    const added = allow.map(parseAllowedHost);
    const removed = withdraw.map(parseAllowedHost);
    // One after the other: two changes at once would each be made of the list without the other.
    const changing = this.#writing.then(() => this.#change(project, added, removed));
    this.#writing = changing.catch(() => {});
    return changing;
  }

  async #change(
    project: string,
    added: readonly AllowedHost[],
    removed: readonly AllowedHost[],
  ): Promise<readonly AllowedHost[]> {
    const listed = new Map([...this.of(project), ...added].map((one) => [formatAllowedHost(one), one]));
    for (const one of removed) {
      if (!listed.delete(formatAllowedHost(one))) throw notListed(project, one);
    }
    if (listed.size > hostsMax) throw tooMany(project);
    const hosts = [...listed.keys()].sort().map((text) => listed.get(text)!);
    await this.#write(project, [...listed.keys()].sort());
    this.#hosts.set(project, hosts);
    this.#onChange();
    return hosts;
  }

  async #write(project: string, texts: readonly string[]): Promise<void> {
    const values = { hosts: this.#sealing.seal(table, "hosts", project, texts) };
    await this.#database.asOrg(this.#org, (transaction) =>
      transaction
        .insertInto(table)
        .values({ org_id: this.#org, project_id: project, ...values })
        .onConflict((conflict) => conflict.columns(["org_id", "project_id"]).doUpdateSet(values))
        .execute(),
    );
  }
}

function byProject(left: { readonly project: string }, right: { readonly project: string }): number {
  return left.project < right.project ? -1 : 1;
}

function notListed(project: string, host: AllowedHost): BiplaneError {
  return new BiplaneError("not_found", {
    what: `${formatAllowedHost(host)} is not among the hosts that project ${project} was allowed.`,
    next: "Look at `biplane egress` for the list.",
  });
}

function tooMany(project: string): BiplaneError {
  return new BiplaneError("resource_exhausted", {
    what: `Project ${project} can't be allowed more than ${hostsMax} hosts.`,
    next: "Withdraw some, or allow a network of addresses.",
  });
}
