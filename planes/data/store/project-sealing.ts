/**
 * Values under the customer's keys: what people and programs wrote for a project, encrypted by the project's key and
 * bound to its place (claim CMK-1). Stored with the key's id: its length in one byte, the id, then the sealed value.
 */
import { BiplaneError } from "@biplane/base";
import { deriveKey, type Key, openColumn, sealColumn } from "@biplane/kit/crypto";
import type { ProjectKey, ScopedKeys } from "../keys/types.ts";

/** Where a value belongs; `row` is the primary key below the organization. */
export interface ProjectPlace {
  readonly table: string;
  readonly column: string;
  readonly row: readonly string[];
}

export class ProjectSealer {
  readonly #keys: ScopedKeys;
  readonly #org: string;
  /** The key that columns are under, of each key of a project that is in use. */
  readonly #derived = new WeakMap<Key, Key>();

  constructor(keys: ScopedKeys, org: string) {
    this.#keys = keys;
    this.#org = org;
  }

  /** For new values. Refused with reason `key_disabled`; the key is to be used at once, not kept. */
  keyOf(project: string): Promise<ProjectKey> {
    return this.#keys.current(`${this.#org}/${project}`);
  }

  seal({ id, key }: ProjectKey, place: ProjectPlace, content: Uint8Array): Uint8Array {
    const name = Buffer.from(id);
    const sealed = sealColumn(this.#columnKey(key), this.#placeOf(place), content);
    return Buffer.concat([Uint8Array.of(name.length), name, sealed]);
  }

  /** Refused with reason `key_disabled` while the customer's key is. */
  async open(place: ProjectPlace, sealed: Uint8Array): Promise<Uint8Array> {
    const key = await this.requireKey(sealed);
    return openColumn(this.#columnKey(key), this.#placeOf(place), sealed.subarray(1 + sealed[0]!));
  }

  isUnder({ id }: ProjectKey, sealed: Uint8Array): boolean {
    return keyIdOf(sealed) === id;
  }

  /** Whether what is known already may be read at this moment: the same refusals as `open`. */
  requireKey(sealed: Uint8Array): Promise<Key> {
    return this.#keys.get(keyIdOf(sealed));
  }

  #columnKey(key: Key): Key {
    const known = this.#derived.get(key) ?? deriveKey(key, "data-plane columns");
    this.#derived.set(key, known);
    return known;
  }

  #placeOf({ table, column, row }: ProjectPlace) {
    return { org: this.#org, table, column, row: JSON.stringify(row) };
  }
}

function keyIdOf(sealed: Uint8Array): string {
  const nameBytes = sealed[0] ?? 0;
  if (nameBytes > 0 && sealed.length > 1 + nameBytes) {
    return Buffer.from(sealed.subarray(1, 1 + nameBytes)).toString();
  }
  throw new BiplaneError("data_loss", "A stored value names no key.", { reason: "unreadable" });
}
