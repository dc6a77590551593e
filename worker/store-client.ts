/** HTTP to the object store through the sandbox's own socket, TLS and names verified as anywhere else. */
import { Agent, request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { clientTlsOptions } from "@biplane/kit/tls";
import type { StoreRequest, StoreResponse } from "@biplane/sdk/host";

const connectionsMax = 32;
const silenceMsMax = 120_000;

export interface StoreClientOptions {
  readonly socketPath: string;
  readonly authorityPem: string;
  /** Name that the store's certificate has to have. */
  readonly host: string;
}

export function createStoreClient(options: StoreClientOptions) {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: connectionsMax,
    ...clientTlsOptions({ authorityPem: options.authorityPem }),
    servername: options.host,
  });
  return (request: StoreRequest): Promise<StoreResponse> =>
    new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          agent,
          socketPath: options.socketPath,
          method: request.method,
          path: request.path,
          headers: { ...request.headers },
          setHost: false,
          timeout: silenceMsMax,
        },
        (incoming) => {
          resolve({
            status: incoming.statusCode ?? 0,
            headers: flatten(incoming.headers),
            body: incoming,
          });
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error("The object store fell silent.")));
      outgoing.on("error", reject);
      if (request.body === undefined || request.body instanceof Uint8Array) outgoing.end(request.body);
      else pipeline(Readable.from(request.body), outgoing).catch(reject);
    });
}

function flatten(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(", ") : value;
  return flat;
}
