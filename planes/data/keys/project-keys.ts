/**
 * One key per project, made at random and kept wrapped by the customer's key. An unwrapped key is believed for one
 * second after its last successful check at the provider, so that disabling the customer's key takes effect within
 * that second (claim CMK-1); a provider that can't be reached counts as disabled.
 */
import { BiplaneError, Secret } from "@biplane/base";
import { type Clock, type Journal, type Key, newKey, openJournal, systemClock } from "@biplane/kit";
import { type KeyProvider, keyDisabled } from "./provider.ts";

export interface ProjectKey {
  /** Stored beside what it encrypts. */
  readonly id: string;
  readonly key: Key;
}

export interface ProjectKeysOptions {
  readonly folder: string;
  /** Protects the registry itself; a system key, so that the plane starts with every customer key disabled. */
  readonly systemKey: Key;
  readonly provider: KeyProvider;
  readonly clock?: Clock;
}

interface Registered {
  readonly id: string;
  readonly scope: string;
  readonly version: string;
  readonly wrapped: string;
}

interface Checked {
  readonly key: Key;
  readonly atMs: number;
}

const believedMs = 1_000;
/** A provider that does not answer must not hold requests for ever. */
const providerMsMax = 5_000;

export class ProjectKeys {
  readonly #provider: KeyProvider;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #byId = new Map<string, Registered>();
  readonly #newest = new Map<string, Registered>();
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
      keys.#register(JSON.parse(Buffer.from(record).toString()) as Registered);
    }
    return keys;
  }

  /** The key for new data of a project; made at first use and after each rotation of the customer's key. */
  async current(scope: string): Promise<ProjectKey> {
    const known = this.#currentChecked.get(scope);
    if (known !== undefined && this.#clock.now() - known.atMs < believedMs) {
      return { id: known.id, key: await this.get(known.id) };
    }
    const version = await this.#ask(this.#provider.currentVersion(), "current");
    const newest = this.#newest.get(scope);
    const registered = newest?.version === version ? newest : await this.#createOnce(scope);
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

  close(): Promise<void> {
    this.#checked.clear();
    return this.#journal.close();
  }

  async #check(id: string): Promise<Key> {
    // A failed check must not leave the old key usable.
    this.#checked.delete(id);
    const registered = this.#byId.get(id);
    if (registered === undefined)
      throw new BiplaneError("data_loss", "A stored object names an unknown key.");
    const atMs = this.#clock.now();
    const { version } = registered;
    const wrapped = { version, wrapped: Buffer.from(registered.wrapped, "base64") };
    const unwrapped = await this.#ask(this.#provider.unwrap(wrapped, placeOf(registered)), version);
    const key = new Secret(unwrapped);
    this.#checked.set(id, { key, atMs });
    return key;
  }

  #createOnce(scope: string): Promise<Registered> {
    const running = this.#creating.get(scope);
    if (running !== undefined) return running;
    const creating = this.#create(scope).finally(() => this.#creating.delete(scope));
    this.#creating.set(scope, creating);
    return creating;
  }

  async #create(scope: string): Promise<Registered> {
    const id = String(this.#nextId);
    this.#nextId += 1;
    const key = newKey().reveal();
    const { version, wrapped } = await this.#ask(this.#provider.wrap(key, placeOf({ id, scope })), "current");
    const registered = { id, scope, version, wrapped: Buffer.from(wrapped).toString("base64") };
    await this.#journal.append(Buffer.from(JSON.stringify(registered)));
    this.#register(registered);
    return registered;
  }

  #register(registered: Registered): void {
    this.#byId.set(registered.id, registered);
    this.#newest.set(registered.scope, registered);
    this.#nextId = Math.max(this.#nextId, Number(registered.id) + 1);
  }

  async #ask<T>(answer: Promise<T>, version: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(keyDisabled(version)), providerMsMax);
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
