/** S3's multipart upload: large objects in parts, some on their way at the same time, all or nothing. */
import type { StoreRequest, StoreResponse } from "../host.ts";
import { drain, text } from "./response-body.ts";
import { escapeXml, readUploadId } from "./s3-xml.ts";

type Request = (
  method: StoreRequest["method"],
  query: URLSearchParams,
  body?: Uint8Array,
) => Promise<StoreResponse>;

const partsInFlightMax = 4;

export async function multipartUpload(
  request: Request,
  known: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): Promise<void> {
  const uploadId = readUploadId(await text(await request("POST", new URLSearchParams({ uploads: "" }))));
  try {
    const etags = await sendParts(request, uploadId, known, rest);
    const parts = etags.map(
      (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
    );
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
    await text(await request("POST", new URLSearchParams({ uploadId }), body));
  } catch (error) {
    await abandon(request, uploadId);
    throw error;
  }
}

async function sendParts(
  request: Request,
  uploadId: string,
  known: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): Promise<readonly string[]> {
  const etags: string[] = [];
  const inFlight = new Set<Promise<void>>();
  let partNumber = 0;
  for await (const part of chain(known, rest)) {
    partNumber += 1;
    const index = partNumber - 1;
    const query = new URLSearchParams({ partNumber: String(partNumber), uploadId });
    const sending = request("PUT", query, part).then(async (response) => {
      etags[index] = response.headers["etag"] ?? "";
      await drain(response);
    });
    const tracked: Promise<void> = sending.finally(() => inFlight.delete(tracked));
    inFlight.add(tracked);
    if (inFlight.size >= partsInFlightMax) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  return etags;
}

/** Parts of an upload that will never be completed take up space until it is abandoned. */
async function abandon(request: Request, uploadId: string): Promise<void> {
  try {
    await drain(await request("DELETE", new URLSearchParams({ uploadId })));
  } catch {
    // The first failure says more than this one.
  }
}

async function* chain(
  known: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* known;
  yield* rest;
}
