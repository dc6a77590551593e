/** Tells clients where to sign in; the only service that answers strangers. */
import { flyte } from "@biplane/data-wire";
import { publicClientId } from "@biplane/identity";
import { flyteRedirectUri } from "../identity/flyte-redirect.ts";
import { serve } from "../router/router.ts";
import type { ApiParts } from "./parts.ts";

/** Requests have no field, and anyone may send one. */
const requestBytesMax = 1_024;

export function authMetadataService({ authority }: ApiParts) {
  return serve(
    flyte.auth.AuthMetadataService,
    {
      getOAuth2Metadata: () => ({
        issuer: authority(),
        authorizationEndpoint: `${authority()}/auth`,
        tokenEndpoint: `${authority()}/token`,
        deviceAuthorizationEndpoint: `${authority()}/device/auth`,
        jwksUri: `${authority()}/jwks`,
        responseTypesSupported: ["code"],
        scopesSupported: ["openid", "offline_access"],
        tokenEndpointAuthMethodsSupported: ["client_secret_basic", "none"],
        codeChallengeMethodsSupported: ["S256"],
        grantTypesSupported: [
          "authorization_code",
          "client_credentials",
          "refresh_token",
          "urn:ietf:params:oauth:grant-type:device_code",
        ],
      }),
      getPublicClientConfig: () => ({
        clientId: publicClientId,
        redirectUri: flyteRedirectUri,
        scopes: ["openid", "offline_access"],
        // Stock clients send their token under this header's name; empty makes them crash.
        authorizationMetadataKey: "authorization",
        audience: "",
      }),
    },
    requestBytesMax,
  );
}
