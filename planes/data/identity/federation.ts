/**
 * Signs people in at the customer's own OpenID provider (claim IAM-1): PKCE, state, nonce, and the issuer checked in
 * the answer and in the signed ID token, so that no other provider's answer can be slipped in. A person is known by
 * issuer and subject, never by e-mail.
 */
import { BiplaneError, isBiplaneError, minute } from "@biplane/base";
import type { Clock } from "@biplane/kit/clock";
import { newKey, openRecord, sealRecord } from "@biplane/kit/crypto";
import * as oauth from "openid-client";
import type { Directory } from "./directory.ts";
import { type FederationConfig, readClientSecret } from "./federation-config.ts";
import { createFetch } from "./federation-http.ts";
import type { Subject, SubjectProfile } from "./subject.ts";
import { newSubject } from "./subject-rules.ts";

export const federationCallback = "/federation/callback";
const pendingMs = 10 * minute;
const place = "federated sign-in under way";
const groupsBytesMax = 3_072;
const textCharactersMax = 255;

interface Pending {
  readonly interaction: string;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly expiresAtMs: number;
}

export interface FederationParts {
  readonly config: FederationConfig;
  /** Where this authority is; the provider sends people back there. */
  readonly authority: string;
  readonly extraAuthorityPem: string | undefined;
  readonly directory: Directory;
  /** Told of the addresses that the provider names in its discovery document, before any of them is used. */
  readonly onEndpoints?: (urls: readonly (string | undefined)[]) => void;
  readonly clock: Clock;
}

export class Federation {
  readonly #parts: FederationParts;
  /** What is under way lives in the browser, sealed. */
  readonly #key = newKey();
  #discovered: Promise<oauth.Configuration> | undefined;

  constructor(parts: FederationParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.config.name;
  }

  /** Where the browser goes, and what it keeps until it is back. */
  async begin(interaction: string): Promise<{ url: string; pending: string }> {
    const configuration = await this.#discover();
    const [state, nonce] = [oauth.randomState(), oauth.randomNonce()];
    const verifier = oauth.randomPKCECodeVerifier();
    const url = oauth.buildAuthorizationUrl(configuration, {
      redirect_uri: `${this.#parts.authority}${federationCallback}`,
      scope: this.#parts.config.scopes,
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    });
    const expiresAtMs = this.#parts.clock.now() + pendingMs;
    return { url: url.href, pending: this.#seal({ interaction, state, nonce, verifier, expiresAtMs }) };
  }

  /** Which sign-in a browser is in the middle of. */
  interactionOf(pending: string | undefined): string | undefined {
    return this.#open(pending)?.interaction;
  }

  /** The person whom the provider's answer names, new or known; throws where the answer is not what was asked for. */
  async finish(pending: string | undefined, interaction: string, query: URLSearchParams): Promise<Subject> {
    const begun = this.#open(pending);
    if (begun === undefined || begun.interaction !== interaction) throw refused("It was not begun here.");
    const configuration = await this.#discover();
    const answer = new URL(`${this.#parts.authority}${federationCallback}?${query}`);
    const tokens = await oauth
      .authorizationCodeGrant(configuration, answer, {
        pkceCodeVerifier: begun.verifier,
        expectedState: begun.state,
        expectedNonce: begun.nonce,
        idTokenExpected: true,
      })
      .catch((cause: unknown) => Promise.reject(refused("Its answer does not fit what was asked.", cause)));
    const claims = tokens.claims();
    if (claims === undefined) throw refused("It sent no ID token.");
    return this.#remember(claims.sub, this.#profileOf(claims));
  }

  async #remember(subject: string, profile: SubjectProfile): Promise<Subject> {
    const { directory, config, clock } = this.#parts;
    const federatedHash = directory.federatedHash(config.issuer, subject);
    return directory.run(async (transaction) => {
      const known = await directory.findBy(transaction, "federated_hash", federatedHash);
      if (known?.disabledAtMs !== undefined) throw refused("An administrator has disabled this person here.");
      if (known !== undefined) {
        const renewed = { ...known, profile };
        await directory.update(transaction, renewed);
        return renewed;
      }
      const added = {
        subject: newSubject("user"),
        kind: "user",
        profile,
        credential: { scheme: "none" },
        createdAtMs: clock.now(),
      } as const;
      await directory.add(transaction, { ...added, federatedHash });
      return { ...added, isFederated: true };
    });
  }

  #profileOf(claims: oauth.IDToken): SubjectProfile {
    const email = textOf(claims["email"]);
    const name = textOf(claims["name"]) ?? textOf(claims["preferred_username"]) ?? email ?? claims.sub;
    const groups = this.#groupsOf(claims[this.#parts.config.groupsClaim]);
    return { name, groups, ...(email === undefined ? {} : { email }) };
  }

  /** Groups travel in every token: too many are refused aloud, dropping some would take rights away in silence. */
  #groupsOf(claim: unknown): readonly string[] {
    const { groups: wanted } = this.#parts.config;
    const all = (Array.isArray(claim) ? claim : [claim]).filter((one) => typeof one === "string");
    const groups = wanted.length === 0 ? all : all.filter((one) => wanted.includes(one));
    if (Buffer.byteLength(JSON.stringify(groups)) <= groupsBytesMax) return groups;
    throw refused(
      "You are in more groups than a token can carry: an administrator has to name those that count.",
    );
  }

  async #discover(): Promise<oauth.Configuration> {
    this.#discovered ??= this.#ask();
    try {
      return await this.#discovered;
    } catch (cause) {
      // Asked again by the next person.
      this.#discovered = undefined;
      throw isBiplaneError(cause) ? cause : refused("It can't be reached, or is another issuer.", cause);
    }
  }

  async #ask(): Promise<oauth.Configuration> {
    const { config, extraAuthorityPem } = this.#parts;
    const secret = await readClientSecret(config);
    const configuration = await oauth.discovery(
      new URL(config.issuer),
      config.clientId,
      undefined,
      oauth.ClientSecretBasic(secret),
      { [oauth.customFetch]: createFetch(extraAuthorityPem) as oauth.CustomFetch },
    );
    // The ID token's signature counts too, not only the connection that it came over.
    oauth.enableNonRepudiationChecks(configuration);
    const { token_endpoint, jwks_uri, userinfo_endpoint } = configuration.serverMetadata();
    this.#parts.onEndpoints?.([token_endpoint, jwks_uri, userinfo_endpoint]);
    return configuration;
  }

  #seal(pending: Pending): string {
    const bytes = new TextEncoder().encode(JSON.stringify(pending));
    return Buffer.from(sealRecord(this.#key, place, bytes)).toString("base64url");
  }

  #open(sealed: string | undefined): Pending | undefined {
    if (sealed === undefined) return undefined;
    try {
      const bytes = openRecord(this.#key, place, new Uint8Array(Buffer.from(sealed, "base64url")));
      const pending = JSON.parse(new TextDecoder().decode(bytes)) as Pending;
      return pending.expiresAtMs > this.#parts.clock.now() ? pending : undefined;
    } catch {
      // Made by an earlier process, or by somebody else.
      return undefined;
    }
  }
}

function textOf(claim: unknown): string | undefined {
  if (typeof claim !== "string") return undefined;
  const text = claim.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").trim();
  return text === "" ? undefined : text.slice(0, textCharactersMax);
}

function refused(why: string, cause?: unknown): BiplaneError {
  return new BiplaneError(
    "unauthenticated",
    { what: "The sign-in at your organization's provider did not work.", why, next: "Begin again." },
    { cause, reason: "federation_refused" },
  );
}
