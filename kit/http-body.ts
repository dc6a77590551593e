/** Reads small request bodies whole, within a bound, and gets rid of those that nobody will read. */
import { constants, type Http2ServerResponse } from "node:http2";
import { BiplaneError, MiB } from "@biplane/base";
import type { HttpRequest, HttpResponse } from "./connect-server.ts";

export async function readBody(request: HttpRequest, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Its connection must outlive a body that is too large, so that the client hears why.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new BiplaneError(
        "resource_exhausted",
        { what: "The request is too large.", why: `At most ${bytesMax} bytes are taken here.` },
        { reason: "request_too_large" },
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export async function readForm(request: HttpRequest, bytesMax: number): Promise<URLSearchParams> {
  return new URLSearchParams((await readBody(request, bytesMax)).toString("utf8"));
}

export async function readJson(request: HttpRequest, bytesMax: number): Promise<unknown> {
  const body = await readBody(request, bytesMax);
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new BiplaneError("invalid_argument", "The request's body is not JSON.");
  }
}

/** Bodies up to this size are read and dropped, so that the connection stays usable. */
const discardedBytesMax = 1 * MiB;

/** For a request that is answered without its body: a larger one ends its connection, or its stream, with the answer. */
export function discardBody(request: HttpRequest, response: HttpResponse): void {
  if (announcedBytes(request, response) <= discardedBytesMax) request.resume();
  else response.once("finish", () => endRequest(request, response));
}

function announcedBytes(request: HttpRequest, response: HttpResponse): number {
  const { "content-length": declared, "transfer-encoding": coding } = request.headers;
  if (declared !== undefined) return Number(declared);
  if (request.httpVersionMajor === 1) return coding === undefined ? 0 : Number.POSITIVE_INFINITY;
  return (response as Http2ServerResponse).stream.endAfterHeaders ? 0 : Number.POSITIVE_INFINITY;
}

function endRequest(request: HttpRequest, response: HttpResponse): void {
  if (request.httpVersionMajor === 1) request.socket.destroySoon();
  else (response as Http2ServerResponse).stream.close(constants.NGHTTP2_NO_ERROR);
}
