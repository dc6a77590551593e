/** Reads small request bodies whole, within a bound. */
import { BiplaneError } from "@biplane/base";
import type { HttpRequest } from "./connect-server.ts";

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
