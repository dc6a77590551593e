/** Calls of a router with one token, whatever it is worth: nothing is repeated, and nothing signs in again. */
import { createClientTransport } from "@biplane/kit/connect-client";
import type { Transport } from "@connectrpc/connect";
import { bearer } from "./bearer.ts";

export interface RouterPlace {
  readonly router: string;
  readonly rootPem: string;
}

export function routerAs({ router, rootPem }: RouterPlace, token: string): Transport {
  return createClientTransport({
    baseUrl: router,
    tls: { authorityPem: rootPem },
    interceptors: [bearer(token)],
  });
}
