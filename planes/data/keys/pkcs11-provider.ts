/**
 * Keys in an HSM, by PKCS#11: AES-256 keys that never leave the token, one object per version. Disabled is what the
 * standard has for it: an object that may neither encrypt nor decrypt.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isBiplaneError } from "@biplane/base";
import { gcmParameters, type Handle, loadPkcs11, type Pkcs11Module, pkcs11 } from "./pkcs11-module.ts";
import { keyDisabled, noSuchKey, requireKeyName, unreadableKey } from "./refusals.ts";
import type { KeyProvider, KeyRegion, KeyState, KeyVersion, WrappedKey } from "./types.ts";

export interface Pkcs11Options {
  /** The vendor's shared library. */
  readonly library: string;
  readonly tokenLabel: string;
  /** Owner-only file that holds the user's PIN. */
  readonly pinFile: string;
  /** Where the HSM is; it can't be asked. */
  readonly region?: string | undefined;
}

interface Token {
  readonly module: Pkcs11Module;
  readonly session: Handle;
}

const nonceBytes = 12;
const tagBytes = 16;
const versionsMax = 1_000;

export class Pkcs11Provider implements KeyProvider {
  readonly kind = "pkcs11";
  readonly #options: Pkcs11Options;
  #token: Token | undefined;
  /** A session does one thing at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Hash of a PIN that was refused: trying it again and again would lock the token. */
  #refusedPin: string | undefined;

  constructor(options: Pkcs11Options) {
    this.#options = options;
  }

  currentVersion(key: string): Promise<KeyVersion> {
    return this.#use({ key, version: "current" }, (token) => {
      const newest = versionsOf(token, key).at(-1);
      if (newest === undefined) throw keyDisabled({ key, version: "current" }, "CKR_KEY_HANDLE_INVALID");
      return { key, version: String(newest) };
    });
  }

  create(key: string): Promise<KeyVersion> {
    return this.#use({ key, version: "first" }, (token) => {
      const newest = versionsOf(token, key).at(-1);
      return newest === undefined ? generate(token, { key, version: "1" }) : { key, version: String(newest) };
    });
  }

  wrap(version: KeyVersion, content: Uint8Array, place: string): Promise<WrappedKey> {
    return this.#use(version, async ({ module, session }) => {
      const nonce = randomBytes(nonceBytes);
      module.C_EncryptInit(session, gcm(nonce, place), usable(this.#find(version), version));
      const into = Buffer.alloc(content.length + tagBytes);
      const sealed = await module.C_EncryptAsync(session, Buffer.from(content), into);
      return { ...version, wrapped: Buffer.concat([nonce, sealed]) };
    });
  }

  unwrap(wrapped: WrappedKey, place: string): Promise<Uint8Array> {
    return this.#use(wrapped, async ({ module, session }) => {
      const bytes = Buffer.from(wrapped.wrapped);
      const nonce = bytes.subarray(0, nonceBytes);
      module.C_DecryptInit(session, gcm(nonce, place), usable(this.#find(wrapped), wrapped));
      const into = Buffer.alloc(bytes.length);
      return new Uint8Array(await module.C_DecryptAsync(session, bytes.subarray(nonceBytes), into));
    });
  }

  stateOf(version: KeyVersion): Promise<KeyState> {
    return this.#use(version, ({ module, session }) => {
      const object = this.#find(version);
      if (object === undefined) return "destroyed";
      const [decrypt] = module.C_GetAttributeValue(session, object, [{ type: pkcs11.CKA_DECRYPT }]);
      return decrypt?.value[0] === 1 ? "enabled" : "disabled";
    });
  }

  rotate(key: string): Promise<KeyVersion> {
    return this.#use({ key, version: "new" }, (token) => {
      const newest = versionsOf(token, key).at(-1) ?? 0;
      return generate(token, { key, version: String(newest + 1) });
    });
  }

  disable(version: KeyVersion): Promise<void> {
    return this.#permit(version, false);
  }

  enable(version: KeyVersion): Promise<void> {
    return this.#permit(version, true);
  }

  destroy(version: KeyVersion): Promise<void> {
    return this.#use(version, ({ module, session }) => {
      module.C_DestroyObject(session, present(this.#find(version), version));
    });
  }

  async region(): Promise<KeyRegion> {
    return { region: this.#options.region, source: "declared" };
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
    this.#forget();
  }

  #permit(version: KeyVersion, allowed: boolean): Promise<void> {
    return this.#use(version, ({ module, session }) => {
      module.C_SetAttributeValue(session, present(this.#find(version), version), [
        { type: pkcs11.CKA_ENCRYPT, value: allowed },
        { type: pkcs11.CKA_DECRYPT, value: allowed },
      ]);
    });
  }

  #find(version: KeyVersion): Handle | undefined {
    return findObjects(this.#token!, version.key, version.version)[0];
  }

  /** Opens the token at first use and again after a failure, so that one that was away heals by itself. */
  #use<T>(version: KeyVersion, work: (token: Token) => T | Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => {
      try {
        this.#token ??= await this.#open();
        return await work(this.#token);
      } catch (error) {
        if (isBiplaneError(error)) throw error;
        const said = error instanceof Error ? error.message : "unknown";
        if (!keepsSession.test(said)) this.#forget();
        if (changed.test(said)) throw unreadableKey(error);
        throw keyDisabled(version, said, error);
      }
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #open(): Promise<Token> {
    const Module = await loadPkcs11();
    const pin = (await readFile(this.#options.pinFile, "utf8")).trim();
    const pinHash = createHash("sha256").update(pin).digest("hex");
    if (pinHash === this.#refusedPin) throw new Error("CKR_PIN_INCORRECT");
    const module = new Module();
    module.load(this.#options.library);
    try {
      module.C_Initialize();
      const slot = this.#slot(module);
      const session = module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
      module.C_Login(session, pkcs11.CKU_USER, pin);
      return { module, session };
    } catch (error) {
      if ((error as { code?: number }).code === pkcs11.CKR_PIN_INCORRECT) this.#refusedPin = pinHash;
      release(module);
      throw error;
    }
  }

  #slot(module: Pkcs11Module): Handle {
    const label = this.#options.tokenLabel;
    const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trim() === label);
    if (slot === undefined) throw new Error(`CKR_TOKEN_NOT_PRESENT: ${label}`);
    return slot;
  }

  #forget(): void {
    const token = this.#token;
    this.#token = undefined;
    if (token !== undefined) release(token.module);
  }
}

/** Errors that say something of a key, and nothing of the connection to the token. */
const keepsSession = /CKR_KEY_|CKR_ENCRYPTED_DATA|CKR_OBJECT_HANDLE|CKR_ATTRIBUTE|CKR_GENERAL_ERROR/;
/** What tokens answer to bytes that do not authenticate. */
const changed = /CKR_ENCRYPTED_DATA|CKR_GENERAL_ERROR/;

function release(module: Pkcs11Module): void {
  try {
    module.C_Finalize();
  } catch {
    // It was never initialized, or the token is gone.
  }
  module.close();
}

function gcm(iv: Buffer, place: string) {
  const parameter = {
    type: gcmParameters,
    iv,
    aad: Buffer.from(place),
    ivBits: iv.length * 8,
    tagBits: tagBytes * 8,
  };
  return { mechanism: pkcs11.CKM_AES_GCM, parameter };
}

function labelOf(key: string): string {
  return `biplane-${requireKeyName(key)}`;
}

function findObjects({ module, session }: Token, key: string, version?: string): Handle[] {
  module.C_FindObjectsInit(session, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_LABEL, value: labelOf(key) },
    ...(version === undefined ? [] : [{ type: pkcs11.CKA_ID, value: Buffer.from(version) }]),
  ]);
  try {
    return module.C_FindObjects(session, versionsMax);
  } finally {
    module.C_FindObjectsFinal(session);
  }
}

function versionsOf(token: Token, key: string): number[] {
  const { module, session } = token;
  return findObjects(token, key)
    .map((object) => module.C_GetAttributeValue(session, object, [{ type: pkcs11.CKA_ID }])[0]!.value)
    .map((id) => Number(id.toString()))
    .sort((left, right) => left - right);
}

function generate({ module, session }: Token, version: KeyVersion): KeyVersion {
  module.C_GenerateKey(session, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
    { type: pkcs11.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11.CKA_LABEL, value: labelOf(version.key) },
    { type: pkcs11.CKA_ID, value: Buffer.from(version.version) },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
    { type: pkcs11.CKA_MODIFIABLE, value: true },
    { type: pkcs11.CKA_ENCRYPT, value: true },
    { type: pkcs11.CKA_DECRYPT, value: true },
  ]);
  return version;
}

function usable(object: Handle | undefined, version: KeyVersion): Handle {
  if (object === undefined) throw keyDisabled(version, "CKR_KEY_HANDLE_INVALID");
  return object;
}

function present(object: Handle | undefined, version: KeyVersion): Handle {
  if (object === undefined) throw noSuchKey(version);
  return object;
}
