/**
 * Where the customer's keys live. A provider wraps and unwraps project keys and never gives its own key away, so that a
 * cloud's key service or an HSM fits behind the same interface; whoever disables a key there makes all beneath it
 * unreadable (claims CMK-1, CMK-3).
 */
import type { Key } from "@biplane/kit/crypto";
import type { Closeable } from "@biplane/kit/lifecycle";

/** The customer's key that projects have unless they are assigned another. */
export const defaultKey = "customer";

/** One version of one of the customer's keys. */
export interface KeyVersion {
  /** Lower-case letters, digits and hyphens; `customer` is the one that projects have unless they are assigned another. */
  readonly key: string;
  /** The provider's own word for it: a number, or a key id. */
  readonly version: string;
}

export interface WrappedKey extends KeyVersion {
  readonly wrapped: Uint8Array;
}

/** A project's own key, which the customer's key wraps. */
export interface ProjectKey {
  /** Stored beside what it encrypts. */
  readonly id: string;
  readonly key: Key;
}

/** The keys of projects as stores use them; both calls are refused with reason `key_disabled`. */
export interface ScopedKeys {
  /** For new data; `scope` is `<org>/<project>`. */
  current(scope: string): Promise<ProjectKey>;
  /** For data that exists. */
  get(id: string): Promise<Key>;
}

export type KeyState = "enabled" | "disabled" | "destroyed";

/** `asked`: the provider said so. `declared`: its operator did, if anybody. */
export interface KeyRegion {
  readonly region: string | undefined;
  readonly source: "asked" | "declared";
}

export interface KeyProvider extends Closeable {
  readonly kind: "file" | "aws-kms" | "pkcs11";
  /** The version that wraps new keys. Refused with reason `key_disabled` like `unwrap`, also where there is none. */
  currentVersion(key: string): Promise<KeyVersion>;
  /** Makes the first version where there is none; gives the current one. Never for a key that protects something. */
  create(key: string): Promise<KeyVersion>;
  /** `place` is authenticated with the content: it opens at the same place only. */
  wrap(version: KeyVersion, content: Uint8Array, place: string): Promise<WrappedKey>;
  /** Refused with `failed_precondition`, reason `key_disabled`, where the version is disabled, gone or out of reach. */
  unwrap(wrapped: WrappedKey, place: string): Promise<Uint8Array>;
  stateOf(version: KeyVersion): Promise<KeyState>;
  /** Where the keys are; undefined where they are files beside the plane. */
  region(): Promise<KeyRegion | undefined>;
  /** A new version for new keys; what older ones wrapped stays readable (claim CMK-2). */
  rotate(key: string): Promise<KeyVersion>;
  disable(version: KeyVersion): Promise<void>;
  enable(version: KeyVersion): Promise<void>;
  /** For ever: takes exactly what this version wrapped with it. */
  destroy(version: KeyVersion): Promise<void>;
}
