/** Fetches presigned URLs as anybody who has one could, and says how that ended. */
import { request as plainRequest } from "node:http";
import type { PinnedHttp } from "@biplane/sdk/remote";

export interface Fetched {
  readonly status: number;
  readonly body: Buffer;
}

export async function fetchLink(
  http: PinnedHttp,
  url: string,
  method = "GET",
  body?: Uint8Array,
): Promise<Fetched> {
  const response = await http.send(url, { method, ...(body === undefined ? {} : { body }) });
  const chunks: Buffer[] = [];
  for await (const chunk of response.body as AsyncIterable<Buffer>) chunks.push(chunk);
  return { status: response.status, body: Buffer.concat(chunks) };
}

const answerMsMax = 5_000;

/** The same URL without TLS: an HTTP status where somebody answered, else how the connection ended. */
export function fetchPlain(url: string): Promise<number | string> {
  return new Promise((resolve) => {
    const outgoing = plainRequest(url.replace(/^https:/, "http:"), { timeout: answerMsMax }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("silence")));
    outgoing.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    outgoing.end();
  });
}
