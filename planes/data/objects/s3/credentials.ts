/**
 * Who may do what at the object server. The store's own key pair signs presigned URLs and stays in this process.
 * Sessions are stateless: the token itself says, sealed, what it allows and until when, and the secret is derived from
 * it, so that nothing has to be stored (claim FLOW-3).
 */
import { createHmac, randomBytes } from "node:crypto";
import { Secret } from "@biplane/base";
import { type Clock, deriveKey, type Key, openRecord, sealRecord } from "@biplane/kit";
import { z } from "zod";
import type { ObjectGrants, StoreCredentials } from "../types.ts";
import { S3Error } from "./s3-error.ts";

const sessionSchema = z.strictObject({
  id: z.string(),
  /** Whose credentials they are, for the audit log. */
  subject: z.string().optional(),
  readPrefixes: z.array(z.string()),
  writePrefixes: z.array(z.string()),
  expiresAtMs: z.number(),
});

export type Session = z.infer<typeof sessionSchema>;

export type StorePrincipal =
  | { readonly kind: "store" }
  | { readonly kind: "session"; readonly session: Session };

export interface KnownCredentials {
  readonly secretAccessKey: string;
  readonly principal: StorePrincipal;
}

const sessionPlace = "object session";
const urlPlace = "object URL";
const cachedSessionsMax = 4_096;
/** A longer one was never issued here. */
const tokenCharactersMax = 16_384;

export class CredentialStore {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret<string>;
  readonly #sealKey: Key;
  readonly #secretKey: Key;
  readonly #clock: Clock;
  readonly #sessions = new Map<string, { session: Session; secret: string }>();

  constructor(systemKey: Key, clock: Clock) {
    this.#clock = clock;
    this.#sealKey = deriveKey(systemKey, "object session tokens");
    this.#secretKey = deriveKey(systemKey, "object session secrets");
    const own = Buffer.from(deriveKey(systemKey, "object store credentials").reveal());
    this.accessKeyId = `BPROOT${this.#mac("own access key id").slice(0, 14).toUpperCase()}`;
    this.secretAccessKey = new Secret(own.toString("base64url"));
  }

  issue(grant: Parameters<ObjectGrants["sessionCredentials"]>[0]): StoreCredentials {
    const id = `BPSESS${randomBytes(7).toString("hex").toUpperCase()}`;
    const session: Session = {
      id,
      ...(grant.subject === undefined ? {} : { subject: grant.subject }),
      readPrefixes: [...grant.readPrefixes],
      writePrefixes: [...grant.writePrefixes],
      expiresAtMs: this.#clock.now() + grant.lifetimeMs,
    };
    const sealed = sealRecord(this.#sealKey, sessionPlace, Buffer.from(JSON.stringify(session)));
    const token = Buffer.from(sealed).toString("base64url");
    return {
      accessKeyId: id,
      secretAccessKey: new Secret(this.#mac(token)),
      sessionToken: new Secret(token),
    };
  }

  /** The secret to check a signature with. What the session may do is decided after the signature was. */
  find(accessKeyId: string, token: string | undefined): KnownCredentials {
    if (token === undefined) {
      if (accessKeyId !== this.accessKeyId) throw new S3Error("InvalidAccessKeyId");
      return { secretAccessKey: this.secretAccessKey.reveal(), principal: { kind: "store" } };
    }
    const { session, secret } = this.#openSession(token);
    if (session.id !== accessKeyId) throw new S3Error("InvalidAccessKeyId");
    if (this.#clock.now() >= session.expiresAtMs) throw new S3Error("ExpiredToken");
    return { secretAccessKey: secret, principal: { kind: "session", session } };
  }

  /** Part of a presigned URL: to whom it was given, for the audit log. Whoever holds the URL can't read it. */
  sealGrantee(subject: string): string {
    return Buffer.from(sealRecord(this.#sealKey, urlPlace, Buffer.from(subject))).toString("base64url");
  }

  /** Only of URLs whose signature was checked. */
  openGrantee(sealed: string): string {
    const bytes = openRecord(this.#sealKey, urlPlace, Buffer.from(sealed, "base64url"));
    return Buffer.from(bytes).toString();
  }

  #openSession(token: string): { session: Session; secret: string } {
    const known = this.#sessions.get(token);
    if (known !== undefined) return known;
    if (token.length > tokenCharactersMax) throw new S3Error("InvalidToken");
    const opened = { session: this.#parse(token), secret: this.#mac(token) };
    if (this.#sessions.size >= cachedSessionsMax) {
      this.#sessions.delete(this.#sessions.keys().next().value!);
    }
    this.#sessions.set(token, opened);
    return opened;
  }

  #parse(token: string): Session {
    try {
      const bytes = openRecord(this.#sealKey, sessionPlace, Buffer.from(token, "base64url"));
      return sessionSchema.parse(JSON.parse(Buffer.from(bytes).toString()));
    } catch {
      throw new S3Error("InvalidToken");
    }
  }

  #mac(text: string): string {
    return createHmac("sha256", this.#secretKey.reveal()).update(text).digest("base64url");
  }
}
