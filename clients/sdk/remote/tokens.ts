/** Access tokens for the router: taken from what is stored, renewed when they end. */
import { BiplaneError, type Secret, Secret as SecretValue } from "@biplane/base";
import * as oauth from "openid-client";
import type { ConfigStore, StoredCredentials } from "./config-store.ts";
import type { PinnedHttp } from "./pinned-http.ts";
import type { Profile } from "./profile.ts";

/** Tokens are renewed this long before they end, so that none ends on its way. */
const renewBeforeMs = 30_000;
export const scope = "openid offline_access";

export interface AccessToken {
  readonly value: string;
  readonly expiresAtMs: number;
}

export interface TokenSource {
  /** `fresh`: the one before was refused. */
  token(fresh: boolean): Promise<string>;
}

/** Keeps the newest token and asks for the next one only once, however many wait for it. */
export function createTokenSource(obtain: () => Promise<AccessToken>): TokenSource {
  let current: AccessToken | undefined;
  let pending: Promise<AccessToken> | undefined;
  return {
    async token(fresh) {
      const usable = current !== undefined && Date.now() < current.expiresAtMs - renewBeforeMs;
      if (!fresh && usable && current !== undefined) return current.value;
      pending ??= obtain().finally(() => {
        pending = undefined;
      });
      current = await pending;
      return current.value;
    },
  };
}

export function discover(
  profile: Profile,
  http: PinnedHttp,
  clientId: string,
  clientSecret?: Secret<string>,
): Promise<oauth.Configuration> {
  const authentication =
    clientSecret === undefined ? oauth.None() : oauth.ClientSecretBasic(clientSecret.reveal());
  return oauth
    .discovery(new URL(profile.authority), clientId, undefined, authentication, {
      [oauth.customFetch]: http.fetch as oauth.CustomFetch,
    })
    .catch((cause: unknown) => Promise.reject(signInFailure(profile, cause)));
}

/** A machine's own credentials. */
export function clientCredentials(
  profile: Profile,
  http: PinnedHttp,
  clientId: string,
  clientSecret: Secret<string>,
): TokenSource {
  let configuration: Promise<oauth.Configuration> | undefined;
  return createTokenSource(async () => {
    configuration ??= discover(profile, http, clientId, clientSecret);
    try {
      return toAccessToken(await oauth.clientCredentialsGrant(await configuration));
    } catch (cause) {
      configuration = undefined;
      throw signInFailure(profile, cause);
    }
  });
}

type UserCredentials = Extract<StoredCredentials, { kind: "user" }>;

/** A person's stored sign-in. Another command may have renewed it meanwhile: then its token is taken. */
export function storedSignIn(
  profile: Profile,
  http: PinnedHttp,
  store: ConfigStore,
  name: string,
): TokenSource {
  let refused: string | undefined;
  return createTokenSource(async () => {
    let current: UserCredentials | undefined;
    await store.renewCredentials(name, async (present) => {
      if (present?.kind !== "user") throw notSignedIn(profile);
      const usable = present.expiresAtMs - renewBeforeMs > Date.now() && present.accessToken !== refused;
      current = usable ? present : await refresh(profile, http, present);
      return current;
    });
    if (current === undefined) throw notSignedIn(profile);
    // Asked for again while it should still be good: the router has refused it.
    refused = current.accessToken;
    return { value: current.accessToken, expiresAtMs: current.expiresAtMs };
  });
}

/** Refresh tokens rotate: the new one is stored with the token that came with it. */
async function refresh(
  profile: Profile,
  http: PinnedHttp,
  present: UserCredentials,
): Promise<UserCredentials> {
  if (present.refreshToken === undefined) throw notSignedIn(profile);
  const configuration = await discover(profile, http, profile.publicClientId);
  const answer = await oauth
    .refreshTokenGrant(configuration, present.refreshToken)
    .catch((cause: unknown) => Promise.reject(signInFailure(profile, cause)));
  const { value, expiresAtMs } = toAccessToken(answer);
  const refreshToken = answer.refresh_token ?? present.refreshToken;
  return { kind: "user", accessToken: value, expiresAtMs, refreshToken };
}

/** The credentials that a profile has on this machine. */
export async function storedTokens(
  profile: Profile,
  http: PinnedHttp,
  store: ConfigStore,
  name: string,
): Promise<TokenSource> {
  const stored = await store.credentials(name);
  if (stored === undefined) throw notSignedIn(profile);
  if (stored.kind === "user") return storedSignIn(profile, http, store, name);
  return clientCredentials(profile, http, stored.clientId, new SecretValue(stored.clientSecret));
}

export function toAccessToken(answer: oauth.TokenEndpointResponse): AccessToken {
  const lifetimeMs = (answer.expires_in ?? 60) * 1_000;
  return { value: answer.access_token, expiresAtMs: Date.now() + lifetimeMs };
}

function notSignedIn(profile: Profile): BiplaneError {
  return new BiplaneError("unauthenticated", {
    what: `Nobody is signed in at ${profile.org}.`,
    next: "Run `biplane login`.",
  });
}

export function signInFailure(profile: Profile, cause: unknown): BiplaneError {
  if (cause instanceof BiplaneError) return cause;
  const inner = (cause as { cause?: unknown }).cause;
  if (inner instanceof BiplaneError) return inner;
  const { error, error_description: description } = cause as {
    error?: string;
    error_description?: string;
  };
  return new BiplaneError(
    "unauthenticated",
    {
      what: `${profile.org}'s identity authority refused the sign-in${error === undefined ? "." : `: ${error}.`}`,
      ...(description === undefined ? {} : { why: description }),
      next: "Check the client id and secret, or run `biplane login` again.",
    },
    { cause },
  );
}
