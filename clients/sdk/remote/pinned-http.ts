/** HTTPS to the servers that a client knows and to no others, in the shape of `fetch` and for streamed bodies. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent, request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { connect } from "node:tls";
import { BiplaneError, MiB } from "@biplane/base";
import { clientTlsOptions, otherIssuerCode } from "@biplane/kit/tls";
import type { KnownServers } from "./known-servers.ts";

export interface PinnedRequest {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface PinnedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readable;
}

const silenceMsMax = 60_000;
const textBytesMax = 4 * MiB;

export class PinnedHttp {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  readonly #servers: Pick<KnownServers, "tlsFor">;

  constructor(servers: Pick<KnownServers, "tlsFor">) {
    this.#servers = servers;
  }

  async send(url: string, options: PinnedRequest): Promise<PinnedResponse> {
    const tls = clientTlsOptions(this.#servers.tlsFor(url));
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        url,
        {
          ...tls,
          agent: this.#agent,
          method: options.method,
          headers: { ...options.headers },
          timeout: silenceMsMax,
          ...(options.signal === undefined ? {} : { signal: options.signal }),
        },
        (incoming) => {
          const headers = new Headers();
          for (const [name, value] of Object.entries(incoming.headersDistinct))
            for (const one of value ?? []) headers.append(name, one);
          resolve({ status: incoming.statusCode ?? 0, headers, body: incoming });
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${new URL(url).host} fell silent.`)));
      outgoing.on("error", (cause) => reject(unreachable(url, cause)));
      if (options.body === undefined || options.body instanceof Uint8Array) outgoing.end(options.body);
      else pipeline(Readable.from(options.body), outgoing).catch(reject);
    });
  }

  /** SHA-256 of the certificate that the server shows, once it was found to be the server's; lower-case hex. */
  async certificateAt(url: string): Promise<string> {
    const { hostname, port } = new URL(url);
    const tls = clientTlsOptions(this.#servers.tlsFor(url));
    const host = hostname.replace(/^\[|\]$/g, "");
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = connect({ ...tls, ...name, host, port: Number(port || 443), timeout: silenceMsMax });
    try {
      await once(socket, "secureConnect");
      return createHash("sha256")
        .update(socket.getPeerX509Certificate()?.raw ?? "")
        .digest("hex");
    } catch (cause) {
      throw unreachable(url, cause);
    } finally {
      socket.destroy();
    }
  }

  async text(response: PinnedResponse): Promise<string> {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > textBytesMax) throw new BiplaneError("resource_exhausted", "The answer is too large.");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  /** For libraries that want `fetch`. */
  readonly fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const body = init.body === undefined || init.body === null ? undefined : String(init.body);
    const response = await this.send(url, {
      method: init.method ?? "GET",
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(body === undefined ? {} : { body: Buffer.from(body) }),
      ...(init.signal ? { signal: init.signal } : {}),
    });
    const text = await this.text(response);
    const isEmpty = response.status === 204 || response.status === 304;
    return new Response(isEmpty ? null : text, { status: response.status, headers: response.headers });
  };

  close(): void {
    this.#agent.destroy();
  }
}

const untrustedCodes = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "CERT_SIGNATURE_FAILURE",
  otherIssuerCode,
]);

/** Whether what answered has another certificate than the one that was dialled. */
export function isUntrusted(cause: unknown): boolean {
  return untrustedCodes.has((cause as { code?: string } | undefined)?.code ?? "");
}

/** The network's error for people: what was dialled, and what to check. */
export function unreachable(url: string, cause: unknown): BiplaneError {
  const { code } = cause as { code?: string };
  const { host } = new URL(url);
  if (isUntrusted(cause)) {
    return new BiplaneError(
      "permission_denied",
      {
        what: `${host} showed a certificate that this profile does not trust (${code}).`,
        why: "A profile believes its data plane's own root certificate and no other.",
        next: "Take the data plane's present profile.json; if that changes nothing, someone is in between.",
      },
      { cause },
    );
  }
  return new BiplaneError(
    "unavailable",
    {
      what: `${host} can't be reached (${code ?? "connection lost"}).`,
      next: "Is the system running, and the edge with it?",
    },
    { cause },
  );
}
