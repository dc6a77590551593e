/** The cluster's object store over S3: signed here, carried by whoever brings the connection. */
import { BiplaneError, MiB } from "@biplane/base";
import { parseObjectUri } from "@biplane/layout";
import { AwsV4Signer } from "aws4fetch";
import type { StoreAccess, StoreRequest, StoreResponse } from "../host.ts";
import { multipartUpload } from "./multipart.ts";
import type { ObjectAccess, StoredObject } from "./object-access.ts";
import { drain, text } from "./response-body.ts";
import { readListing } from "./s3-xml.ts";

export interface S3Options {
  readonly access: () => StoreAccess;
  readonly send: (request: StoreRequest) => Promise<StoreResponse>;
  readonly newObjectsPrefix: string;
}

/** Parts of this size are held in memory while they travel. */
const partBytes = 8 * MiB;

export class S3Access implements ObjectAccess {
  readonly newObjectsPrefix: string;
  readonly #options: S3Options;

  constructor(options: S3Options) {
    this.#options = options;
    this.newObjectsPrefix = options.newObjectsPrefix.replace(/\/+$/, "");
  }

  async *read(uri: string): AsyncGenerator<Uint8Array> {
    const response = await this.#request("GET", uri);
    yield* response.body;
  }

  async write(uri: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    if (content instanceof Uint8Array && content.byteLength <= partBytes) return this.#put(uri, content);
    const source = content instanceof Uint8Array ? once(content) : content;
    const parts = inParts(source, partBytes);
    const first = await parts.next();
    const second = first.done === true ? first : await parts.next();
    if (second.done === true) return this.#put(uri, first.value ?? new Uint8Array());
    const known = [first.value as Uint8Array, second.value];
    await multipartUpload((method, query, body) => this.#request(method, uri, query, body), known, parts);
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    const { bucket, key } = parseObjectUri(prefix);
    let token: string | undefined;
    do {
      const query = new URLSearchParams({ "list-type": "2", prefix: key });
      if (token !== undefined) query.set("continuation-token", token);
      const response = await this.#send("GET", `/${bucket}`, query);
      const page = readListing(await text(response));
      for (const object of page.objects)
        yield { uri: `s3://${bucket}/${object.key}`, sizeBytes: object.sizeBytes };
      token = page.nextToken;
    } while (token !== undefined);
  }

  async #put(uri: string, content: Uint8Array): Promise<void> {
    await drain(await this.#request("PUT", uri, undefined, content));
  }

  #request(
    method: StoreRequest["method"],
    uri: string,
    query?: URLSearchParams,
    body?: Uint8Array,
  ): Promise<StoreResponse> {
    const { bucket, key } = parseObjectUri(uri);
    const path = `/${bucket}/${key.split("/").map(encodePart).join("/")}`;
    return this.#send(method, path, query ?? new URLSearchParams(), body);
  }

  async #send(
    method: StoreRequest["method"],
    path: string,
    query: URLSearchParams,
    body?: Uint8Array,
  ): Promise<StoreResponse> {
    const request = await sign(this.#options.access(), method, path, query, body);
    const response = await this.#options.send(request);
    if (response.status < 300) return response;
    throw await refusal(response, method, decodeURIComponent(path));
  }
}

/** `encodeURIComponent` leaves `!'()*`, which AWS's signature has encoded. */
function encodePart(part: string): string {
  return encodeURIComponent(part).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

async function sign(
  access: StoreAccess,
  method: StoreRequest["method"],
  path: string,
  query: URLSearchParams,
  body: Uint8Array | undefined,
): Promise<StoreRequest> {
  const url = new URL(path, access.endpoint);
  url.search = query.toString().replaceAll("+", "%20");
  const signed = await new AwsV4Signer({
    method,
    url: url.href,
    service: "s3",
    region: access.region,
    accessKeyId: access.accessKeyId,
    secretAccessKey: access.secretAccessKey,
    ...(access.sessionToken === "" ? {} : { sessionToken: access.sessionToken }),
    headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" },
  }).sign();
  const headers = {
    ...Object.fromEntries(signed.headers),
    host: url.host,
    ...(method === "PUT" || method === "POST" ? { "content-length": String(body?.byteLength ?? 0) } : {}),
  };
  const pathAndQuery = `${signed.url.pathname}${signed.url.search}`;
  return { method, path: pathAndQuery, headers, ...(body === undefined ? {} : { body }) };
}

const codes: Readonly<Record<number, "not_found" | "permission_denied" | "already_exists" | undefined>> = {
  403: "permission_denied",
  404: "not_found",
  409: "already_exists",
};

async function refusal(response: StoreResponse, method: string, path: string): Promise<BiplaneError> {
  const detail = await text(response);
  const reason = /<Code>([A-Za-z0-9]+)<\/Code>/.exec(detail)?.[1] ?? `HTTP ${response.status}`;
  const fallback = response.status >= 500 ? "unavailable" : "failed_precondition";
  return new BiplaneError(codes[response.status] ?? fallback, {
    what: `The object store refused ${method} s3:/${path}: ${reason}.`,
  });
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

async function* inParts(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, undefined> {
  let chunks: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of source) {
    let rest = chunk;
    while (heldBytes + rest.byteLength >= sizeBytes) {
      const taken = sizeBytes - heldBytes;
      yield Buffer.concat([...chunks, rest.subarray(0, taken)]);
      rest = rest.subarray(taken);
      chunks = [];
      heldBytes = 0;
    }
    if (rest.byteLength > 0) chunks.push(rest);
    heldBytes += rest.byteLength;
  }
  if (heldBytes > 0) yield Buffer.concat(chunks);
  return undefined;
}
