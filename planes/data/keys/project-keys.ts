/**
 * One key per project, made at random and kept wrapped by the customer's key. An unwrapped key is believed for one
 * second after its last successful check at the provider, so that disabling the customer's key takes effect within
 * that second (claim CMK-1); a provider that can't be reached counts as disabled.
 */
import { BiplaneError, Secret, second } from "@biplane/base";
import { type Clock, type Journal, type Key, newKey, openJournal, systemClock } from "@biplane/kit";
import { keyDisabled, requireKeyName } from "./refusals.ts";
import {
  defaultKey,
  type KeyProvider,
  type KeyState,
  type KeyVersion,
  type ProjectKey,
  type ScopedKeys,
} from "./types.ts";

export interface ProjectKeysOptions {
  readonly folder: string;
  /** Protects the registry itself; a system key, so that the plane starts with every customer key disabled. */
  readonly systemKey: Key;
  readonly provider: KeyProvider;
  readonly clock?: Clock;
}

/** One of the customer's key versions, and which projects' data it protects. */
export interface ListedKey extends KeyVersion {
  readonly state: KeyState | "unreachable";
  /** Wraps new keys. */
  readonly isCurrent: boolean;
  readonly scopes: readonly string[];
}

interface Registered extends KeyVersion {
  readonly id: string;
  readonly scope: string;
  readonly wrapped: string;
}

/** From then on, new data of the project is under that key. */
interface Assigned {
  readonly assigned: string;
  readonly key: string;
}

interface Checked {
  readonly key: Key;
  readonly atMs: number;
}

const believedMs = second;
/** A provider that does not answer counts as disabled after the same second. */
const providerMsMax = second;

export class ProjectKeys implements ScopedKeys {
  readonly #provider: KeyProvider;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #byId = new Map<string, Registered>();
  readonly #newest = new Map<string, Registered>();
  readonly #assigned = new Map<string, string>();
  readonly #checked = new Map<string, Checked>();
  readonly #checking = new Map<string, Promise<Key>>();
  readonly #currentChecked = new Map<string, { readonly id: string; readonly atMs: number }>();
  readonly #creating = new Map<string, Promise<Registered>>();

  #nextId = 1;

  private constructor(options: ProjectKeysOptions, journal: Journal) {
    this.#provider = options.provider;
    this.#clock = options.clock ?? systemClock;
    this.#journal = journal;
  }

  static async open(options: ProjectKeysOptions): Promise<ProjectKeys> {
    const journal = await openJournal({
      folder: options.folder,
      key: options.systemKey,
      name: "project-keys",
    });
    const keys = new ProjectKeys(options, journal);
    for await (const { record } of journal.read(1n)) {
      keys.#read(JSON.parse(Buffer.from(record).toString()) as Registered | Assigned);
    }
    return keys;
  }

  /** The key for new data of a project; made at first use and after each rotation of the customer's key. */
  async current(scope: string): Promise<ProjectKey> {
    const known = this.#currentChecked.get(scope);
    if (known !== undefined && this.#clock.now() - known.atMs < believedMs) {
      return { id: known.id, key: await this.get(known.id) };
    }
    const key = this.keyOf(scope);
    const version = await this.#currentVersion(key);
    const newest = this.#newest.get(scope);
    const isNewest = newest?.key === version.key && newest.version === version.version;
    const registered = isNewest ? newest : await this.#createOnce(scope, version);
    this.#currentChecked.set(scope, { id: registered.id, atMs: this.#clock.now() });
    return { id: registered.id, key: await this.get(registered.id) };
  }

  /** The key for data that exists. Refused with reason `key_disabled`. */
  get(id: string): Promise<Key> {
    const checked = this.#checked.get(id);
    if (checked !== undefined && this.#clock.now() - checked.atMs < believedMs) {
      return Promise.resolve(checked.key);
    }
    const running = this.#checking.get(id);
    if (running !== undefined) return running;
    const checking = this.#check(id).finally(() => this.#checking.delete(id));
    this.#checking.set(id, checking);
    return checking;
  }

  get providerKind(): KeyProvider["kind"] {
    return this.#provider.kind;
  }

  /** What can be asked of the provider without a key. */
  get provider(): Pick<KeyProvider, "kind" | "region"> {
    return this.#provider;
  }

  /** Name of the customer's key that new data of the project is under. */
  keyOf(scope: string): string {
    return this.#assigned.get(scope) ?? defaultKey;
  }

  /** Gives a project a key of its own, made where there is none; what it has already stays under the old one. */
  async assign(scope: string, key: string): Promise<void> {
    await this.#currentVersion(requireKeyName(key));
    const assigned: Assigned = { assigned: scope, key };
    await this.#journal.append(Buffer.from(JSON.stringify(assigned)));
    this.#read(assigned);
  }

  /** Every version that protects something or would protect new data. */
  async list(): Promise<ListedKey[]> {
    const found = new Map<string, { version: KeyVersion; scopes: Set<string>; isCurrent: boolean }>();
    const note = ({ key, version }: KeyVersion) => {
      const name = JSON.stringify([key, version]);
      const entry = found.get(name) ?? {
        version: { key, version },
        scopes: new Set<string>(),
        isCurrent: false,
      };
      found.set(name, entry);
      return entry;
    };
    for (const registered of this.#byId.values()) note(registered).scopes.add(registered.scope);
    for (const key of new Set([defaultKey, ...this.#assigned.values()])) {
      const current = await this.#currentVersion(key).catch(() => undefined);
      if (current !== undefined) note(current).isCurrent = true;
    }
    return Promise.all(
      [...found.values()].map(async ({ version, scopes, isCurrent }) => {
        const state = await this.#ask(this.#provider.stateOf(version), version).catch(
          () => "unreachable" as const,
        );
        return { ...version, state, isCurrent, scopes: [...scopes].sort() };
      }),
    );
  }

  /** Undoes, changes or ends a version at the provider. Takes effect here at once. */
  async change(change: "enable" | "disable" | "destroy", version: KeyVersion): Promise<void> {
    requireKeyName(version.key);
    await this.#provider[change](version);
    this.#forgetChecks();
  }

  /** The new version; new data is under it from now on. */
  async rotate(key: string): Promise<KeyVersion> {
    const version = await this.#provider.rotate(requireKeyName(key));
    this.#forgetChecks();
    return version;
  }

  async close(): Promise<void> {
    this.#forgetChecks();
    await this.#journal.close();
    await this.#provider.close();
  }

  /** A key that protects something and can't be found was taken away: another one in its place would hide that. */
  #currentVersion(key: string): Promise<KeyVersion> {
    const isUsed = [...this.#newest.values()].some((registered) => registered.key === key);
    const answer = isUsed ? this.#provider.currentVersion(key) : this.#provider.create(key);
    return this.#ask(answer, { key, version: "current" });
  }

  #forgetChecks(): void {
    this.#checked.clear();
    this.#currentChecked.clear();
  }

  async #check(id: string): Promise<Key> {
    // A failed check must not leave the old key usable.
    this.#checked.delete(id);
    const registered = this.#byId.get(id);
    if (registered === undefined)
      throw new BiplaneError("data_loss", "A stored object names an unknown key.");
    const atMs = this.#clock.now();
    const { key: name, version } = registered;
    const wrapped = { key: name, version, wrapped: Buffer.from(registered.wrapped, "base64") };
    const unwrapped = await this.#ask(this.#provider.unwrap(wrapped, placeOf(registered)), wrapped);
    const key = new Secret(unwrapped);
    this.#checked.set(id, { key, atMs });
    return key;
  }

  #createOnce(scope: string, version: KeyVersion): Promise<Registered> {
    const running = this.#creating.get(scope);
    if (running !== undefined) return running;
    const creating = this.#create(scope, version).finally(() => this.#creating.delete(scope));
    this.#creating.set(scope, creating);
    return creating;
  }

  async #create(scope: string, version: KeyVersion): Promise<Registered> {
    const id = String(this.#nextId);
    this.#nextId += 1;
    const content = newKey().reveal();
    const { wrapped } = await this.#ask(
      this.#provider.wrap(version, content, placeOf({ id, scope })),
      version,
    );
    const registered = { id, scope, ...version, wrapped: Buffer.from(wrapped).toString("base64") };
    await this.#journal.append(Buffer.from(JSON.stringify(registered)));
    this.#read(registered);
    return registered;
  }

  #read(record: Registered | Assigned): void {
    if ("assigned" in record) {
      this.#assigned.set(record.assigned, record.key);
      this.#currentChecked.delete(record.assigned);
      return;
    }
    this.#byId.set(record.id, record);
    this.#newest.set(record.scope, record);
    this.#nextId = Math.max(this.#nextId, Number(record.id) + 1);
  }

  async #ask<T>(answer: Promise<T>, version: KeyVersion): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const refuse = () => reject(keyDisabled(version, "no answer within a second"));
      timer = setTimeout(refuse, providerMsMax);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function placeOf(key: { readonly id: string; readonly scope: string }): string {
  return JSON.stringify(["project-key", key.id, key.scope]);
}
