/** Presigned URLs and session credentials (claims FLOW-1 to FLOW-3): made here, stored nowhere. */
import { BiplaneError, limits, Secret } from "@biplane/base";
import type { Clock } from "@biplane/kit";
import type { ObjectGrants, PresignOptions, StoreCredentials } from "../types.ts";
import { granteeParameter } from "./authenticate.ts";
import type { CredentialStore } from "./credentials.ts";
import {
  algorithm,
  encodePath,
  encodeQuery,
  scopeText,
  signingKey,
  signRequest,
  timeText,
  unsignedPayload,
} from "./signature.ts";

export interface GrantsOptions {
  /** `https://host:port` as clients dial it. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly credentials: CredentialStore;
  readonly clock: Clock;
}

export class Grants implements ObjectGrants {
  readonly endpoint: string;
  readonly #options: GrantsOptions;

  constructor(options: GrantsOptions) {
    this.endpoint = options.endpoint.replace(/\/$/, "");
    this.#options = options;
  }

  presign(options: PresignOptions): Secret<string> {
    if (options.lifetimeMs < 1_000 || options.lifetimeMs > limits.presignMsMax) throw wrongLifetime();
    const { bucket, region, credentials, clock } = this.#options;
    const path = `/${bucket}/${options.key}`;
    const time = timeText(clock.now());
    const scope = { date: time.slice(0, 8), region };
    const headers = signedHeaders(new URL(this.endpoint).host, options.headers);
    const query: [string, string][] = [
      ["X-Amz-Algorithm", algorithm],
      ["X-Amz-Credential", `${credentials.accessKeyId}/${scopeText(scope)}`],
      ["X-Amz-Date", time],
      ["X-Amz-Expires", String(Math.floor(options.lifetimeMs / 1_000))],
      ["X-Amz-SignedHeaders", headers.map(([name]) => name).join(";")],
    ];
    if (options.grantedTo !== undefined)
      query.push([granteeParameter, credentials.sealGrantee(options.grantedTo)]);
    if (options.disposition !== undefined) query.push(["response-content-disposition", options.disposition]);
    const key = signingKey(credentials.secretAccessKey.reveal(), scope);
    const payloadHash = unsignedPayload;
    const signature = signRequest(key, time, scope, {
      method: options.method,
      path,
      query,
      headers,
      payloadHash,
    });
    query.push(["X-Amz-Signature", signature]);
    return new Secret(`${this.endpoint}${encodePath(path)}?${encodeQuery(query)}`);
  }

  sessionCredentials(grant: Parameters<ObjectGrants["sessionCredentials"]>[0]): StoreCredentials {
    return this.#options.credentials.issue(grant);
  }
}

function signedHeaders(host: string, more: Readonly<Record<string, string>> = {}): [string, string][] {
  const headers: [string, string][] = [["host", host]];
  for (const [name, value] of Object.entries(more)) headers.push([name.toLowerCase(), value]);
  return headers.sort(([left], [right]) => (left < right ? -1 : 1));
}

function wrongLifetime(): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: "The URL's lifetime is not allowed.",
    why: `It has to be between one second and ${limits.presignMsMax / 3_600_000} hours.`,
    next: "Ask for a shorter lifetime.",
  });
}
