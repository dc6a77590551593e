/**
 * The private keys of identity, each for one kind of token, in one sealed file of the state folder: the authority's
 * own tokens, the tokens that this cluster mints for its tasks, and the tokens that are shown to the control plane.
 * Keys rotate: the newest signs, older ones verify until their last token has expired.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { BiplaneError, day, limits, minute } from "@biplane/base";
import { type Clock, systemClock } from "@biplane/kit/clock";
import { deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit/crypto";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from "jose";

export const signingAlgorithm = "ES256";
/** What a key's tokens are for. */
export const keyUses = ["authority", "task", "control"] as const;
export type KeyUse = (typeof keyUses)[number];

export interface SigningKey {
  readonly kid: string;
  readonly privateJwk: JWK;
  readonly publicJwk: JWK;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly createdAtMs: number;
  /** Set once another key signs in its place. */
  readonly verifiesUntilMs: number | undefined;
}

const place = "identity signing keys";
/** The control plane knows its keys from enrollment; a new one would be refused there. */
const rotatedUses = ["authority", "task"] as const satisfies readonly KeyUse[];
const rotationMs = 90 * day;
/** What a key signed last lives as long as a token; the rest is for clocks that differ. */
const verifiesMs = limits.accessTokenMs + 5 * minute;
/** Rotating faster than tokens expire would fill the key set. */
const keysOfOneUseMax = 16;

interface StoredKey {
  readonly jwk: JWK;
  readonly createdAtMs: number;
  readonly verifiesUntilMs?: number | undefined;
}

/** Newest first. */
type Ring<K> = Readonly<Record<KeyUse, readonly K[]>>;

interface Stored extends Ring<StoredKey> {
  /** Signs the authority's cookies. */
  readonly cookieSecret: string;
}

export class SigningKeys {
  readonly cookieSecret: string;
  readonly #save: (stored: Stored) => Promise<void>;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #ring: Ring<SigningKey>;
  #rotation: Promise<void> | undefined;

  constructor(
    parts: { ring: Ring<SigningKey>; cookieSecret: string; clock: Clock },
    save: (stored: Stored) => Promise<void>,
  ) {
    this.#ring = parts.ring;
    this.cookieSecret = parts.cookieSecret;
    this.#clock = parts.clock;
    this.#save = save;
  }

  get authority(): SigningKey {
    return this.#ring.authority[0]!;
  }
  get task(): SigningKey {
    return this.#ring.task[0]!;
  }
  get control(): SigningKey {
    return this.#ring.control[0]!;
  }

  /** The signing key, then those that still verify. */
  verifying(use: KeyUse): readonly SigningKey[] {
    const now = this.#clock.now();
    return this.#ring[use].filter(({ verifiesUntilMs }) => (verifiesUntilMs ?? now + 1) > now);
  }

  /** The key that a token's header names; the signing key where it names none. */
  find(use: KeyUse, kid: string | undefined): SigningKey | undefined {
    if (kid === undefined) return this.#ring[use][0];
    return this.verifying(use).find((key) => key.kid === kid);
  }

  /** Called after new keys sign. */
  onRotation(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Whoever asks while a rotation is under way gets that one. */
  rotate(): Promise<void> {
    this.#rotation ??= this.#rotate().finally(() => {
      this.#rotation = undefined;
    });
    return this.#rotation;
  }

  async rotateIfDue(): Promise<boolean> {
    if (this.#clock.now() - this.authority.createdAtMs < rotationMs) return false;
    await this.rotate();
    return true;
  }

  /** On disk before it signs: a restart must not forget a key whose tokens are out. */
  async #rotate(): Promise<void> {
    const now = this.#clock.now();
    const ring = { ...this.#ring };
    for (const use of rotatedUses) {
      const older = this.verifying(use).map((key) => ({
        ...key,
        verifiesUntilMs: key.verifiesUntilMs ?? now + verifiesMs,
      }));
      if (older.length >= keysOfOneUseMax) throw tooSoon();
      ring[use] = [await importKey(await newKey(now)), ...older];
    }
    await this.#save({ ...mapRing(ring, storedKey), cookieSecret: this.cookieSecret });
    this.#ring = ring;
    for (const listener of this.#listeners) listener();
  }
}

/** In the folder of identity. */
export function signingKeysPath(folder: string): string {
  return join(folder, "signing-keys.sealed");
}

/** Reads the keys, and makes them where there are none. */
export async function openSigningKeys(
  path: string,
  root: Key,
  clock: Clock = systemClock,
): Promise<SigningKeys> {
  const key = deriveKey(root, place);
  const save = (stored: Stored) =>
    writeFileDurably(path, sealRecord(key, place, new TextEncoder().encode(JSON.stringify(stored))));
  const sealed = await readFileIfAny(path);
  const stored =
    sealed === undefined
      ? await newStored(clock.now())
      : readStored(JSON.parse(new TextDecoder().decode(openRecord(key, place, sealed))));
  if (sealed === undefined) await save(stored);
  const ring = {
    authority: await Promise.all(stored.authority.map(importKey)),
    task: await Promise.all(stored.task.map(importKey)),
    control: await Promise.all(stored.control.map(importKey)),
  };
  return new SigningKeys({ ring, cookieSecret: stored.cookieSecret, clock }, save);
}

/** What the control plane gets at enrollment to check `control` tokens with: a JWK set in JSON, public halves only. */
export function controlTokenKeySet(keys: SigningKeys): string {
  return JSON.stringify({ keys: [keys.control.publicJwk] });
}

/** Files from before rotation hold one plain JWK for each use. */
function readStored(value: Record<KeyUse, JWK | readonly StoredKey[]> & { cookieSecret: string }): Stored {
  const ring = mapUses((use) => {
    const keys = value[use];
    return Array.isArray(keys) ? keys : [{ jwk: keys as JWK, createdAtMs: 0 }];
  });
  return { ...ring, cookieSecret: value.cookieSecret };
}

async function newStored(nowMs: number): Promise<Stored> {
  return {
    authority: [await newKey(nowMs)],
    task: [await newKey(nowMs)],
    control: [await newKey(nowMs)],
    cookieSecret: randomBytes(32).toString("base64url"),
  };
}

async function newKey(createdAtMs: number): Promise<StoredKey> {
  const { privateKey } = await generateKeyPair(signingAlgorithm, { extractable: true });
  return { jwk: await exportJWK(privateKey), createdAtMs };
}

async function importKey({ jwk, createdAtMs, verifiesUntilMs }: StoredKey): Promise<SigningKey> {
  const { kty, crv, x, y, d } = jwk;
  const kid = await calculateJwkThumbprint(jwk);
  const publicJwk = { kty, crv, x, y, kid, alg: signingAlgorithm, use: "sig" } as JWK;
  const privateJwk = { ...publicJwk, d } as JWK;
  const privateKey = (await importJWK(privateJwk, signingAlgorithm)) as CryptoKey;
  const publicKey = (await importJWK(publicJwk)) as CryptoKey;
  return { kid, privateJwk, publicJwk, privateKey, publicKey, createdAtMs, verifiesUntilMs };
}

function storedKey({ privateJwk, createdAtMs, verifiesUntilMs }: SigningKey): StoredKey {
  return { jwk: privateJwk, createdAtMs, verifiesUntilMs };
}

function mapRing<A, B>(ring: Ring<A>, change: (key: A) => B): Ring<B> {
  return mapUses((use) => ring[use].map(change));
}

function mapUses<K>(keysOf: (use: KeyUse) => readonly K[]): Ring<K> {
  return { authority: keysOf("authority"), task: keysOf("task"), control: keysOf("control") };
}

function tooSoon(): BiplaneError {
  return new BiplaneError("resource_exhausted", {
    what: "The signing keys can't rotate again yet.",
    why: `${keysOfOneUseMax} of them still verify tokens that are in date.`,
    next: "Wait 20 minutes.",
  });
}
