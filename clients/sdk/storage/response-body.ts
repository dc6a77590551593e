/** What to do with the body of a store's answer. */
import { KiB } from "@biplane/base";
import type { StoreResponse } from "../host.ts";

const errorBytesMax = 64 * KiB;

export async function text(response: StoreResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body) {
    sizeBytes += chunk.byteLength;
    if (response.status < 300 || sizeBytes <= errorBytesMax) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Reads the rest, so that the connection serves the next request. */
export async function drain(response: StoreResponse): Promise<void> {
  for await (const _chunk of response.body);
}
