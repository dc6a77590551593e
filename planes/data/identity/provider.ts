/**
 * The OpenID provider of the organization: its clients, its tokens, its rules. Access tokens are short-lived JWTs for
 * the organization's routers; the same issuer serves people (PKCE, device code) and machines (client credentials).
 */
import type { IncomingMessage } from "node:http";
import { day, equalInConstantTime, minute, type OrgId, second } from "@biplane/base";
import { audiences, publicClientId } from "@biplane/identity";
import debug from "debug";
import type Provider from "oidc-provider";
import type {
  AccessToken,
  ClientCredentials,
  ClientMetadata,
  Configuration,
  KoaContextWithOIDC,
} from "oidc-provider";
import { confirmDevicePage, deviceDonePage, deviceInputPage, sendProviderError } from "./device-pages.ts";
import { flyteRedirectUri } from "./flyte-redirect.ts";
import { type AdapterParts, createAdapterFactory } from "./oidc-adapter.ts";
import { hashSecret } from "./passwords.ts";
import { OpenIdProvider } from "./provider-library.ts";
import { type SigningKeys, signingAlgorithm } from "./signing-keys.ts";

export const routerClientId = "biplane-router";

export interface ProviderParts extends AdapterParts {
  readonly org: OrgId;
  /** `https://host:port` of the authority; the issuer. */
  readonly issuer: string;
  /** `https://host:port` of each cluster's router, whose pages sign people in too. */
  readonly routers: readonly string[];
  readonly keys: SigningKeys;
  readonly accessTokenMs: number;
  readonly onWrongDeviceCode: (request: IncomingMessage) => Promise<void>;
}

export function createProvider(parts: ProviderParts): Provider {
  // With DEBUG set, provider and Koa print what clients sent, `state` among it (claim TLS-5).
  debug.disable();
  const provider = new OpenIdProvider(parts.issuer, configuration(parts));
  // Secrets of machine clients are kept as hashes.
  const clientPrototype = provider.Client.prototype as { compareClientSecret(shown: string): boolean };
  clientPrototype.compareClientSecret = function (this: { clientSecret: string }, shown: string) {
    return equalInConstantTime(Buffer.from(hashSecret(shown).hash), Buffer.from(this.clientSecret));
  };
  forgiveNewSessions(provider);
  provider.use(sayPollInterval);
  return provider;
}

/** A form that comes without a session fails twice otherwise: the one that was made for it was never stored. */
function forgiveNewSessions(provider: Provider): void {
  const prototype = provider.Session.prototype as { exp?: number; persist(): Promise<unknown> };
  const persist = prototype.persist;
  prototype.persist = async function (this: typeof prototype) {
    return this.exp === undefined ? undefined : persist.call(this);
  };
}

/** Optional in RFC 8628 section 3.2, but stock Flyte clients end with an error without it. */
const pollIntervalSeconds = 5;

async function sayPollInterval(context: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> {
  await next();
  const body = context.body as { device_code?: string } | undefined;
  if (context.oidc?.route === "device_authorization" && body?.device_code !== undefined) {
    context.body = { ...body, interval: pollIntervalSeconds };
  }
}

function configuration(parts: ProviderParts): Configuration {
  return {
    adapter: createAdapterFactory(parts),
    clients: [publicClient(), routerClient(parts.routers)],
    // The signing key first; the others verify what is still in date.
    jwks: { keys: parts.keys.verifying("authority").map(({ privateJwk }) => privateJwk as never) },
    cookies: cookies(parts),
    scopes: ["openid", "offline_access", "profile", "email", "all"],
    claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
    responseTypes: ["code"],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (_context, client) => client.grantTypeAllowed("refresh_token"),
    clientBasedCORS: () => false,
    clientDefaults: { id_token_signed_response_alg: signingAlgorithm },
    enabledJWA: { idTokenSigningAlgValues: [signingAlgorithm] },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, subject) => findAccount(parts, subject),
    loadExistingGrant,
    extraTokenClaims: (_context, token) => tokenClaims(parts, token as AccessToken | ClientCredentials),
    renderError: sendProviderError,
    features: features(parts),
    ttl: {
      AccessToken: parts.accessTokenMs / second,
      // Shorter where the key itself ends sooner.
      ClientCredentials: (_context, token) =>
        token.resourceServer?.accessTokenTTL ?? parts.accessTokenMs / second,
      AuthorizationCode: minute / second,
      DeviceCode: (10 * minute) / second,
      IdToken: parts.accessTokenMs / second,
      Interaction: (30 * minute) / second,
      RefreshToken: (14 * day) / second,
      Grant: (14 * day) / second,
      Session: (12 * 60 * minute) / second,
    },
  };
}

function features(parts: ProviderParts): Configuration["features"] {
  // The one that signs when this provider is made: of keys that come later it has none, while requests under way end here.
  const { kid } = parts.keys.authority;
  return {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: false },
    userinfo: { enabled: true },
    deviceFlow: {
      enabled: true,
      userCodeInputSource: deviceInputPage(parts.onWrongDeviceCode),
      userCodeConfirmSource: confirmDevicePage,
      successSource: deviceDonePage,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audiences.router,
      useGrantedResource: () => true,
      getResourceServerInfo: async ({ oidc }, _resource, client) => {
        await parts.revocations.pastDenialOf(oidc.account?.accountId ?? client.clientId);
        return {
          scope: "all",
          audience: audiences.router,
          accessTokenTTL: await accessTokenSeconds(parts, client.clientId),
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: signingAlgorithm, kid } },
        };
      },
    },
  };
}

/** No token outlives the key that it was given to. */
async function accessTokenSeconds(parts: ProviderParts, clientId: string): Promise<number> {
  const { expiresAtMs = Number.POSITIVE_INFINITY } = (await parts.directory.find(clientId)) ?? {};
  const lifetimeMs = Math.min(parts.accessTokenMs, expiresAtMs - parts.clock.now());
  return Math.max(1, Math.floor(lifetimeMs / second));
}

/** `lax`, because the sign-in begins with a link from elsewhere; names say that only this host may set them. */
function cookies(parts: ProviderParts): Configuration["cookies"] {
  const options = { httpOnly: true, secure: true, sameSite: "lax", signed: true } as const;
  return {
    keys: [parts.keys.cookieSecret],
    long: options,
    short: options,
    names: {
      session: "__Host-biplane-session",
      interaction: "biplane-interaction",
      resume: "biplane-resume",
    },
  };
}

function publicClient(): ClientMetadata {
  return {
    client_id: publicClientId,
    client_name: "Biplane command line",
    application_type: "native",
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    response_types: ["code"],
    redirect_uris: [flyteRedirectUri, "http://127.0.0.1/callback"],
  };
}

function routerClient(routers: readonly string[]): ClientMetadata {
  return {
    client_id: routerClientId,
    client_name: "Biplane pages",
    application_type: "web",
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code"],
    response_types: ["code"],
    redirect_uris: routers.map((router) => `${router}/v2/callback`),
  };
}

async function findAccount(parts: ProviderParts, accountId: string) {
  const found = await parts.directory.findActive(accountId);
  if (found?.kind !== "user") return undefined;
  const { name, email } = found.profile;
  return { accountId, claims: async () => ({ sub: accountId, name, email }) };
}

/** What every access token says besides the standard's claims (contracts/identity). */
async function tokenClaims(parts: ProviderParts, token: AccessToken | ClientCredentials) {
  const subject = "accountId" in token && token.accountId ? token.accountId : token.clientId;
  const found = subject === undefined ? undefined : await parts.directory.find(subject);
  const grantId = "grantId" in token ? token.grantId : undefined;
  return {
    org: parts.org,
    kind: found?.kind ?? "service",
    ...(found === undefined ? {} : found.profile),
    ...(grantId === undefined ? {} : { grant: parts.revocations.nameOf(grantId) }),
  };
}

/** The organization's own pages need no consent; native clients are asked each time by the provider's own rule. */
async function loadExistingGrant(context: KoaContextWithOIDC) {
  const { client, session, provider, result } = context.oidc;
  if (client === undefined || session === undefined) return undefined;
  const grantId = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  if (grantId !== undefined) return provider.Grant.find(grantId);
  if (client.clientId !== routerClientId || session.accountId === undefined) return undefined;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid profile email");
  await grant.save();
  return grant;
}
