/** Authorization code with PKCE: the browser signs in, a listener on loopback takes the answer. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { BiplaneError, minute } from "@biplane/base";
import { discover, type PinnedHttp, type Profile, scope, signInFailure } from "@biplane/sdk/remote";
import * as oauth from "openid-client";
import { openInBrowser } from "../browser.ts";

const waitMs = 5 * minute;

export async function signInByBrowser(
  profile: Profile,
  http: PinnedHttp,
): Promise<oauth.TokenEndpointResponse> {
  const configuration = await discover(profile, http, profile.publicClientId);
  const listener = await listen();
  const redirectUri = `http://localhost:${(listener.address() as AddressInfo).port}/callback`;
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  const url = oauth.buildAuthorizationUrl(configuration, {
    redirect_uri: redirectUri,
    scope,
    prompt: "consent",
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  try {
    process.stderr.write("Sign in with the browser:\n");
    await openInBrowser(url.href);
    const answer = await callback(listener, redirectUri);
    return await oauth.authorizationCodeGrant(configuration, answer, {
      pkceCodeVerifier: verifier,
      expectedState: state,
    });
  } catch (cause) {
    throw signInFailure(profile, cause);
  } finally {
    listener.closeAllConnections();
    listener.close();
  }
}

/** Plain HTTP on loopback is what RFC 8252 asks of native programs; the code is worth nothing without the verifier. */
function listen(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

function callback(server: Server, redirectUri: string): Promise<URL> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () =>
        reject(
          new BiplaneError("deadline_exceeded", {
            what: "Nobody signed in within five minutes.",
            next: "Run `biplane login` again, or with --device where there is no browser.",
          }),
        ),
      waitMs,
    );
    server.on("request", (request, response) => {
      const url = new URL(request.url ?? "/", redirectUri);
      if (url.pathname !== "/callback") {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(200, {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "default-src 'none'",
      });
      response.end(
        "<!doctype html><title>Biplane</title><p>You can close this page and go back to the terminal.</p>",
      );
      clearTimeout(timer);
      resolve(url);
    });
  });
}
