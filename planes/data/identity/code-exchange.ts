/**
 * Exchanges a sign-in's code for a token at the organization's own authority. In the home cluster the two are one
 * process, so the request goes over a connection inside it; TLS and names are checked on it as on any other.
 */
import { isIP } from "node:net";
import { duplexPair } from "node:stream";
import type { Server, TLSSocket } from "node:tls";
import { BiplaneError, Secret, second } from "@biplane/base";
import { connectTls, httpsRequest } from "@biplane/kit/egress";
import { clientTlsOptions } from "@biplane/kit/tls";
import { z } from "zod";

export interface CodeGrant {
  readonly code: string;
  readonly verifier: string;
  readonly clientId: string;
  readonly redirectUri: string;
}

export interface SignedIn {
  readonly accessToken: Secret<string>;
  readonly lifetimeMs: number;
}

export type ExchangeCode = (grant: CodeGrant) => Promise<SignedIn>;

const answerSchema = z.object({ access_token: z.string(), expires_in: z.number().positive() });
const answerBytesMax = 64 * 1024;
const exchangeMs = 10 * second;

/** `authority`: the server in this process, where there is one. */
export function createCodeExchange(
  authority: Server | undefined,
  issuer: () => string,
  rootPem: () => string,
): ExchangeCode {
  return async (grant) => {
    const form = new URLSearchParams({
      grant_type: "authorization_code",
      code: grant.code,
      code_verifier: grant.verifier,
      client_id: grant.clientId,
      redirect_uri: grant.redirectUri,
    });
    const { status, body } = await post(authority, issuer(), rootPem(), form.toString());
    const parsed = answerSchema.safeParse(status === 200 ? JSON.parse(body) : undefined);
    if (!parsed.success) {
      throw new BiplaneError("unauthenticated", {
        what: "The sign-in could not be finished.",
        why: "Its code is wrong, used, or too old.",
        next: "Open the page again.",
      });
    }
    const { access_token, expires_in } = parsed.data;
    return { accessToken: new Secret(access_token), lifetimeMs: expires_in * second };
  };
}

function post(
  authority: Server | undefined,
  issuer: string,
  rootPem: string,
  form: string,
): Promise<{ status: number; body: string }> {
  const { host } = new URL(issuer);
  const socket = dial(authority, issuer, rootPem);
  return new Promise((resolve, reject) => {
    const headers = { host, "content-type": "application/x-www-form-urlencoded", connection: "close" };
    const outgoing = httpsRequest(
      { method: "POST", path: "/token", headers, createConnection: () => socket, timeout: exchangeMs },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
          if (body.length > answerBytesMax)
            outgoing.destroy(new Error("The authority's answer is too long."));
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
        response.on("error", reject);
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("The authority did not answer in time.")));
    outgoing.on("error", reject);
    outgoing.end(form);
  });
}

function dial(authority: Server | undefined, issuer: string, rootPem: string): TLSSocket {
  const { hostname, port } = new URL(issuer);
  const host = hostname.replace(/^\[|\]$/g, "");
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const trust = { ...clientTlsOptions({ authorityPem: rootPem }), host, ...servername };
  if (authority === undefined) return connectTls({ ...trust, port: Number(port || 443) });
  const [ours, theirs] = duplexPair();
  authority.emit("connection", theirs);
  return connectTls({ ...trust, socket: ours });
}
