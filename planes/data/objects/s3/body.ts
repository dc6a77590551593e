/** The payload of an upload: decoded, measured and checked against everything that its sender said of it. */
import { createHash } from "node:crypto";
import { minute } from "@biplane/base";
import type { HttpRequest, HttpResponse } from "@biplane/kit";
import type { Digests } from "../store/digests.ts";
import type { Checksum, ChecksumAlgorithm } from "../store/entries.ts";
import type { Authenticated } from "./authenticate.ts";
import { decodeChunked } from "./aws-chunked.ts";
import { findChecksum, parseAlgorithm, type RunningChecksum, startChecksum } from "./checksums.ts";
import type { S3Request } from "./request.ts";
import { S3Error } from "./s3-error.ts";
import { unsignedPayload } from "./signature.ts";

export interface Payload {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly sizeBytes: number;
  /** Whether `verify` needs the content's SHA-256. */
  readonly needsSha256: boolean;
  /** Throws where the content is not what was promised; gives the checksum to keep with the object. */
  verify(digests: Digests): Checksum | undefined;
}

const idleMsMax = 2 * minute;

/** Signed and streamed, in S3's words for `x-amz-content-sha256`. */
const streamed: Readonly<Record<string, { signed: boolean; trailer: boolean }>> = {
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": { signed: true, trailer: false },
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": { signed: true, trailer: true },
  "STREAMING-UNSIGNED-PAYLOAD-TRAILER": { signed: false, trailer: true },
};

export function openPayload(
  request: S3Request,
  response: HttpResponse,
  authenticated: Authenticated,
  sizeBytesMax: number,
  /** Computed where the sender names none. */
  algorithm?: ChecksumAlgorithm,
): Payload {
  const encoding = streamed[authenticated.payloadHash];
  const sha256 = encoding === undefined ? signedSha256(authenticated.payloadHash) : undefined;
  const sizeBytes = announcedSize(request, encoding !== undefined);
  if (sizeBytes > sizeBytesMax) throw new S3Error("EntityTooLarge");
  const contentMd5 = parseContentMd5(request.header("content-md5"));
  const checksums = new PayloadChecksum(request, algorithm);
  const raw = receive(request.stream, response, request.header("expect"));
  const decoded =
    encoding === undefined
      ? raw
      : decodeChunked(raw, {
          chain: encoding.signed ? authenticated.chain : undefined,
          withTrailer: encoding.trailer,
          onTrailer: (name, value) => checksums.addTrailer(name, value),
        });
  return {
    bytes: measured(decoded, sizeBytes, checksums.running),
    sizeBytes,
    needsSha256: sha256 !== undefined,
    verify: (digests) => {
      if (digests.sizeBytes !== sizeBytes) throw new S3Error("IncompleteBody");
      if (sha256 !== undefined && digests.sha256?.toString("hex") !== sha256) {
        throw new S3Error("XAmzContentSHA256Mismatch");
      }
      if (contentMd5 !== undefined && !contentMd5.equals(digests.md5)) throw new S3Error("BadDigest");
      return checksums.verify();
    },
  };
}

/** A whole small body in memory, for requests that carry XML. */
export async function readWhole(
  request: S3Request,
  response: HttpResponse,
  authenticated: Authenticated,
  sizeBytesMax: number,
): Promise<Buffer> {
  const payload = openPayload(request, response, authenticated, sizeBytesMax);
  const chunks: Uint8Array[] = [];
  for await (const chunk of payload.bytes) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const hash = (name: string) => createHash(name).update(bytes).digest();
  payload.verify({ sizeBytes: bytes.length, md5: hash("md5"), sha256: hash("sha256") });
  return bytes;
}

/** The checksum a sender gives in a header or trailer, or only announces. */
class PayloadChecksum {
  readonly running: RunningChecksum | undefined;
  #promised: Checksum | undefined;
  readonly #algorithm: Checksum["algorithm"] | undefined;

  constructor(request: S3Request, fallback: ChecksumAlgorithm | undefined) {
    this.#promised = findChecksum((name) => request.header(name));
    const trailer = request.header("x-amz-trailer")?.trim().toLowerCase();
    const announced = trailer?.startsWith("x-amz-checksum-")
      ? trailer.slice("x-amz-checksum-".length)
      : undefined;
    this.#algorithm =
      this.#promised?.algorithm ??
      parseAlgorithm(announced) ??
      parseAlgorithm(request.header("x-amz-sdk-checksum-algorithm")) ??
      fallback;
    this.running = this.#algorithm === undefined ? undefined : startChecksum(this.#algorithm);
  }

  addTrailer(name: string, value: string): void {
    const found = findChecksum((wanted) => (wanted === name ? value : undefined));
    if (found === undefined) return;
    if (found.algorithm !== this.#algorithm)
      throw new S3Error("InvalidRequest", "The trailer was not announced.");
    this.#promised = found;
  }

  verify(): Checksum | undefined {
    if (this.running === undefined || this.#algorithm === undefined) return undefined;
    const value = this.running.finish();
    if (this.#promised !== undefined && this.#promised.value !== value) throw new S3Error("BadDigest");
    return { algorithm: this.#algorithm, value, type: "FULL_OBJECT" };
  }
}

async function* receive(
  stream: HttpRequest,
  response: HttpResponse,
  expect: string | undefined,
): AsyncGenerator<Uint8Array> {
  // Only now: a request that is refused never sends its body.
  if (expect?.toLowerCase() === "100-continue") response.writeContinue();
  stream.setTimeout(idleMsMax, () => stream.destroy(new Error("The request's body stalled.")));
  yield* stream as AsyncIterable<Uint8Array>;
}

async function* measured(
  body: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  checksum: RunningChecksum | undefined,
): AsyncGenerator<Uint8Array> {
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    // More than announced must not fill the disk before it is refused.
    if (received > sizeBytes) throw new S3Error("IncompleteBody");
    checksum?.update(chunk);
    yield chunk;
  }
}

function signedSha256(payloadHash: string): string | undefined {
  if (payloadHash === unsignedPayload) return undefined;
  if (/^[0-9a-f]{64}$/.test(payloadHash)) return payloadHash;
  throw new S3Error(
    "InvalidRequest",
    "x-amz-content-sha256 is neither a SHA-256 nor a kind of body known here.",
  );
}

function announcedSize(request: S3Request, isStreamed: boolean): number {
  const text = request.header(isStreamed ? "x-amz-decoded-content-length" : "content-length");
  if (text === undefined) {
    // HTTP/2 and bodiless requests may leave it out.
    if (!isStreamed && request.header("transfer-encoding") === undefined) return 0;
    throw new S3Error("MissingContentLength");
  }
  if (!/^\d{1,15}$/.test(text)) throw new S3Error("InvalidArgument", "The content's length is not a number.");
  return Number(text);
}

function parseContentMd5(text: string | undefined): Buffer | undefined {
  if (text === undefined) return undefined;
  const digest = Buffer.from(text, "base64");
  if (digest.length !== 16 || digest.toString("base64") !== text.trim()) throw new S3Error("InvalidDigest");
  return digest;
}
