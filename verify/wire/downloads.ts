/** Downloads by URL that can be held in their middle: what is open while something else happens. */
import type { IncomingMessage } from "node:http";
import { request } from "node:https";

export interface Download {
  readonly status: number;
  readonly bytes: number;
  readonly text: string;
}

const textBytesMax = 65_536;

export async function download(url: string, authorityPem: string): Promise<Download> {
  const response = await startDownload(url, authorityPem);
  return response.rest();
}

/** Reads the first bytes and then waits: the peer can't have sent the whole of it yet. */
export async function startDownload(
  url: string,
  authorityPem: string,
): Promise<{ rest(): Promise<Download> }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { ca: authorityPem }, resolve).on("error", reject).end();
  });
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await chunks.next();
  return {
    async rest(): Promise<Download> {
      const text: Buffer[] = [];
      let bytes = 0;
      for (let next = first; next.done !== true; next = await chunks.next()) {
        bytes += next.value.length;
        if (bytes < textBytesMax) text.push(next.value);
      }
      return { status: response.statusCode ?? 0, bytes, text: Buffer.concat(text).toString() };
    },
  };
}
