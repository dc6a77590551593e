/**
 * An OpenID provider that is not Biplane's, as a process of its own: a customer's identity provider with its own data
 * and certificates. Reads its settings as one JSON argument's file, prints one line when it listens.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { pathToFileURL } from "node:url";
import Provider from "oidc-provider";

export interface ForeignProviderSettings {
  readonly port: number;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
  /** What it says of everyone who signs in. */
  readonly claims: Readonly<Record<string, unknown>>;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) serve(process.argv[2] ?? "");

function serve(path: string): void {
  const settings = JSON.parse(readFileSync(path, "utf8")) as ForeignProviderSettings;
  const provider = new Provider(`https://localhost:${settings.port}`, {
    clients: [
      {
        client_id: settings.clientId,
        client_secret: settings.clientSecret,
        redirect_uris: [settings.redirectUri],
        grant_types: ["authorization_code"],
        response_types: ["code"],
      },
    ],
    claims: { openid: ["sub"], profile: ["name", "groups"], email: ["email"] },
    conformIdTokenClaims: false,
    findAccount: (_context, accountId) => ({
      accountId,
      claims: async () => ({ sub: accountId, ...settings.claims }),
    }),
    cookies: { keys: ["foreign"], names: { session: "foreign-session" } },
  });
  const tls = { cert: settings.certificatePem, key: settings.privateKeyPem };
  const server = createServer(tls, provider.callback());
  server.listen(settings.port, "localhost", () => process.stdout.write("listening\n"));
}
