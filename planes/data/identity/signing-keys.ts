/**
 * The private keys of identity, each for one kind of token, in one sealed file of the state folder: the authority's
 * own tokens, the tokens that this cluster mints for its tasks, and the tokens that are shown to the control plane.
 */
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

export interface SigningKey {
  readonly kid: string;
  readonly privateJwk: JWK;
  readonly publicJwk: JWK;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

export interface SigningKeys {
  readonly authority: SigningKey;
  readonly task: SigningKey;
  readonly control: SigningKey;
  /** Signs the authority's cookies. */
  readonly cookieSecret: string;
}

const place = "identity signing keys";

/** Reads the keys, and makes them where there are none. */
export async function openSigningKeys(path: string, root: Key): Promise<SigningKeys> {
  const key = deriveKey(root, place);
  const sealed = await readFileIfAny(path);
  if (sealed !== undefined)
    return importAll(JSON.parse(new TextDecoder().decode(openRecord(key, place, sealed))));
  const stored = {
    authority: await newJwk(),
    task: await newJwk(),
    control: await newJwk(),
    cookieSecret: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url"),
  };
  await writeFileDurably(path, sealRecord(key, place, new TextEncoder().encode(JSON.stringify(stored))));
  return importAll(stored);
}

/** What the control plane gets at enrollment to check `control` tokens with: a JWK set in JSON, public halves only. */
export function controlTokenKeySet(keys: SigningKeys): string {
  return JSON.stringify({ keys: [keys.control.publicJwk] });
}

interface StoredKeys {
  readonly authority: JWK;
  readonly task: JWK;
  readonly control: JWK;
  readonly cookieSecret: string;
}

async function importAll(stored: StoredKeys): Promise<SigningKeys> {
  return {
    authority: await importKey(stored.authority),
    task: await importKey(stored.task),
    control: await importKey(stored.control),
    cookieSecret: stored.cookieSecret,
  };
}

async function newJwk(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(signingAlgorithm, { extractable: true });
  return exportJWK(privateKey);
}

async function importKey(jwk: JWK): Promise<SigningKey> {
  const { kty, crv, x, y, d } = jwk;
  const kid = await calculateJwkThumbprint(jwk);
  const publicJwk = { kty, crv, x, y, kid, alg: signingAlgorithm, use: "sig" } as JWK;
  const privateJwk = { ...publicJwk, d } as JWK;
  const privateKey = (await importJWK(privateJwk, signingAlgorithm)) as CryptoKey;
  return { kid, privateJwk, publicJwk, privateKey, publicKey: (await importJWK(publicJwk)) as CryptoKey };
}
