/**
 * The part of PKCS#11 that is used, and the library that speaks it. `pkcs11js` compiles when it is installed, so it is
 * optional and loaded where keys are in an HSM only.
 */
import { BiplaneError } from "@biplane/base";

export type Handle = Buffer;
type Attribute = { readonly type: number; readonly value?: string | number | boolean | Buffer };

/** Parameters of AES-GCM; `type` tells the library which structure to write. */
interface Mechanism {
  readonly mechanism: number;
  readonly parameter?: { readonly type: number; iv: Buffer; aad: Buffer; ivBits: number; tagBits: number };
}

export interface Pkcs11Module {
  load(path: string): void;
  close(): void;
  C_Initialize(): void;
  C_Finalize(): void;
  C_GetSlotList(withToken: boolean): Handle[];
  C_GetTokenInfo(slot: Handle): { readonly label: string };
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_CloseSession(session: Handle): void;
  C_Login(session: Handle, user: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: Attribute[]): void;
  C_FindObjects(session: Handle, count: number): Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_GetAttributeValue(session: Handle, object: Handle, template: Attribute[]): { readonly value: Buffer }[];
  C_SetAttributeValue(session: Handle, object: Handle, template: Attribute[]): void;
  C_GenerateKey(session: Handle, mechanism: Mechanism, template: Attribute[]): Handle;
  C_DestroyObject(session: Handle, object: Handle): void;
  C_EncryptInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_EncryptAsync(session: Handle, content: Buffer, into: Buffer): Promise<Buffer>;
  C_DecryptInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_DecryptAsync(session: Handle, content: Buffer, into: Buffer): Promise<Buffer>;
}

/** Numbers of the standard (PKCS#11 2.40, https://docs.oasis-open.org/pkcs11/pkcs11-curr/v2.40/). */
export const pkcs11 = {
  CKF_RW_SESSION: 0x2,
  CKF_SERIAL_SESSION: 0x4,
  CKU_USER: 1,
  CKO_SECRET_KEY: 4,
  CKK_AES: 0x1f,
  CKA_CLASS: 0x0,
  CKA_TOKEN: 0x1,
  CKA_PRIVATE: 0x2,
  CKA_LABEL: 0x3,
  CKA_KEY_TYPE: 0x100,
  CKA_ID: 0x102,
  CKA_SENSITIVE: 0x103,
  CKA_ENCRYPT: 0x104,
  CKA_DECRYPT: 0x105,
  CKA_VALUE_LEN: 0x161,
  CKA_EXTRACTABLE: 0x162,
  CKA_MODIFIABLE: 0x170,
  CKM_AES_KEY_GEN: 0x1080,
  CKM_AES_GCM: 0x1087,
  CKR_PIN_INCORRECT: 0xa0,
} as const;

/** The library's own number for the parameters of AES-GCM. */
export const gcmParameters = 7;

export async function loadPkcs11(): Promise<new () => Pkcs11Module> {
  try {
    const { default: pkcs11js } = await import("pkcs11js");
    return pkcs11js.PKCS11;
  } catch (cause) {
    throw new BiplaneError(
      "failed_precondition",
      {
        what: "Keys in an HSM need the package pkcs11js, which is not installed.",
        why: "It is compiled when it is installed, and left out where that fails.",
        next: "Install a C++ compiler, then run: npm install pkcs11js",
      },
      { cause },
    );
  }
}
