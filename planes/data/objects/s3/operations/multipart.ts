/** Multipart uploads. */
import { GiB, MiB } from "@biplane/base";
import type { Checksum, ChecksumAlgorithm, Upload, UploadedPart } from "../../store/entries.ts";
import { type NamedPart, partNumberMax } from "../../store/uploads.ts";
import { openPayload, readWhole } from "../body.ts";
import {
  checksumAlgorithms,
  checksumHeader,
  compositeChecksum,
  findChecksum,
  fullObjectChecksum,
  isCombinable,
  parseAlgorithm,
} from "../checksums.ts";
import { parseRange, writeCondition } from "../conditions.ts";
import { readDescription } from "../object-headers.ts";
import type { Operation, OperationContext } from "../operation.ts";
import type { S3Request } from "../request.ts";
import { sendEmpty, sendXml } from "../respond.ts";
import { S3Error } from "../s3-error.ts";
import { encodePath } from "../signature.ts";
import { parseXml, type Xml } from "../xml.ts";
import { parseLimit } from "./list-objects.ts";
import { findCopySource, startOptional, summed } from "./write-objects.ts";

const partBytesMax = 5 * GiB;

export const createUpload: Operation = async ({ request, response, uploads, bucket, key }) => {
  const algorithm = parseAlgorithm(request.header("x-amz-checksum-algorithm"));
  const sum = algorithm === undefined ? undefined : { algorithm, type: typeOf(request, algorithm) };
  const upload = await uploads.create({
    ...readDescription(request),
    key,
    ...(sum === undefined ? {} : { checksumAlgorithm: sum.algorithm, checksumType: sum.type }),
  });
  const result: Xml[] = [
    ["Bucket", bucket],
    ["Key", key],
    ["UploadId", upload.id],
  ];
  sendXml(response, ["InitiateMultipartUploadResult", result], {
    "x-amz-server-side-encryption": "AES256",
    ...(sum === undefined
      ? {}
      : { "x-amz-checksum-algorithm": sum.algorithm, "x-amz-checksum-type": sum.type }),
  });
};

/** CRC-64/NVME is always of the whole object, at S3 too. */
function typeOf(request: S3Request, algorithm: ChecksumAlgorithm): Checksum["type"] {
  const type = request.header("x-amz-checksum-type")?.toUpperCase();
  const byDefault = algorithm === "CRC64NVME" ? "FULL_OBJECT" : "COMPOSITE";
  if (type !== undefined && type !== "FULL_OBJECT" && type !== "COMPOSITE")
    throw new S3Error("InvalidRequest");
  if ((type ?? byDefault) === "FULL_OBJECT" && !isCombinable(algorithm)) {
    throw new S3Error("InvalidRequest", "FULL_OBJECT checksums are CRCs.");
  }
  return type ?? byDefault;
}

export const uploadPart: Operation = async (context) => {
  const { request, response, authenticated, uploads } = context;
  const { upload } = uploads.require(uploadIdOf(context), context.key);
  const algorithm = upload.checksumAlgorithm;
  const payload = openPayload(request, response, authenticated, partBytesMax, algorithm);
  const part = await uploads.putPart(upload, partNumberOf(context), payload.bytes, {
    sizeBytes: payload.sizeBytes,
    withSha256: payload.needsSha256,
    verify: (digests) => payload.verify(digests),
  });
  const { checksum } = part;
  sendEmpty(response, 200, {
    etag: `"${part.etag}"`,
    "x-amz-server-side-encryption": "AES256",
    ...(checksum === undefined ? {} : { [checksumHeader(checksum.algorithm)]: checksum.value }),
  });
};

export const uploadPartCopy: Operation = async (context) => {
  const { request, response, uploads, objects } = context;
  const { upload } = uploads.require(uploadIdOf(context), context.key);
  const source = findCopySource(context);
  const range = parseRange(request.header("x-amz-copy-source-range"), source.sizeBytes);
  const checksum = startOptional(upload.checksumAlgorithm);
  const body = summed(objects.read(source, range?.first, range?.last), checksum);
  const part = await uploads.putPart(upload, partNumberOf(context), body, {
    withSha256: false,
    verify: () => checksum?.finish(),
  });
  const result: Xml[] = [
    ["LastModified", new Date(part.modifiedAtMs).toISOString()],
    ["ETag", `"${part.etag}"`],
  ];
  sendXml(response, ["CopyPartResult", result]);
};

export const completeUpload: Operation = async (context) => {
  const { request, response, uploads, bucket, key, authenticated } = context;
  const id = uploadIdOf(context);
  const body = await readWhole(request, response, authenticated, 4 * MiB);
  const named = parseParts(parseXml(body.toString(), "CompleteMultipartUpload")["Part"]);
  const condition = writeCondition(request);
  const entry = await uploads.complete(id, key, named, {
    checksum: (parts, upload) => {
      const whole = checksumOf(parts, upload.checksumType);
      verifyWhole(request, parts, whole);
      return whole;
    },
    ...(condition === undefined ? {} : { condition }),
  });
  const { checksum } = entry;
  const result: (Xml | undefined)[] = [
    ["Location", `https://${request.host}/${encodePath(`${bucket}/${key}`)}`],
    ["Bucket", bucket],
    ["Key", key],
    ["ETag", `"${entry.etag}"`],
    checksum === undefined ? undefined : [`Checksum${checksum.algorithm}`, checksum.value],
    checksum === undefined ? undefined : ["ChecksumType", checksum.type],
  ];
  sendXml(response, ["CompleteMultipartUploadResult", result], { "x-amz-server-side-encryption": "AES256" });
};

export const abortUpload: Operation = async (context) => {
  await context.uploads.abort(uploadIdOf(context), context.key);
  sendEmpty(context.response, 204);
};

export const listParts: Operation = (context) => {
  const { request, response, uploads, bucket, key } = context;
  const { upload, parts } = uploads.require(uploadIdOf(context), key);
  const limit = parseLimit(request.parameters.get("max-parts"));
  const after = Number(request.parameters.get("part-number-marker") ?? 0);
  const numbers = [...parts.keys()].filter((number) => number > after).sort((left, right) => left - right);
  const shown = numbers.slice(0, limit);
  const result: (Xml | undefined)[] = [
    ["Bucket", bucket],
    ["Key", key],
    ["UploadId", upload.id],
    ["StorageClass", "STANDARD"],
    ["PartNumberMarker", after],
    shown.length < numbers.length ? ["NextPartNumberMarker", shown.at(-1) ?? after] : undefined,
    ["MaxParts", limit],
    ["IsTruncated", shown.length < numbers.length],
    ...shown.map((number): Xml => ["Part", describePart(parts.get(number)!)]),
  ];
  sendXml(response, ["ListPartsResult", result]);
};

export const listUploads: Operation = (context) => {
  const { request, response, uploads, bucket } = context;
  const { parameters } = request;
  const prefix = parameters.get("prefix") ?? "";
  const limit = parseLimit(parameters.get("max-uploads"));
  const keyMarker = parameters.get("key-marker") ?? "";
  const idMarker = parameters.get("upload-id-marker");
  const waiting = uploads.list(prefix).filter((upload) => isBehind(upload, keyMarker, idMarker));
  const shown = waiting.slice(0, limit);
  const last = shown.at(-1);
  const truncated = shown.length < waiting.length && last !== undefined;
  const result: (Xml | undefined)[] = [
    ["Bucket", bucket],
    ["KeyMarker", keyMarker],
    ["UploadIdMarker", idMarker ?? ""],
    truncated ? ["NextKeyMarker", last.key] : undefined,
    truncated ? ["NextUploadIdMarker", last.id] : undefined,
    ["Prefix", prefix],
    ["MaxUploads", limit],
    ["IsTruncated", truncated],
    ...shown.map(describeUpload),
  ];
  sendXml(response, ["ListMultipartUploadsResult", result]);
};

function describeUpload(upload: Upload): Xml {
  return [
    "Upload",
    [
      ["Key", upload.key],
      ["UploadId", upload.id],
      ["StorageClass", "STANDARD"],
      ["Initiated", new Date(upload.startedAtMs).toISOString()],
    ],
  ];
}

function describePart(part: UploadedPart): (Xml | undefined)[] {
  const { content, etag, checksum, modifiedAtMs } = part;
  return [
    ["PartNumber", content.part],
    ["LastModified", new Date(modifiedAtMs).toISOString()],
    ["ETag", `"${etag}"`],
    ["Size", content.plainBytes],
    checksum === undefined ? undefined : [`Checksum${checksum.algorithm}`, checksum.value],
  ];
}

function isBehind(upload: Upload, keyMarker: string, idMarker: string | undefined): boolean {
  if (upload.key !== keyMarker) return upload.key > keyMarker;
  return idMarker !== undefined && upload.id > idMarker;
}

function uploadIdOf({ request }: OperationContext): string {
  return request.parameters.get("uploadId") ?? "";
}

function partNumberOf({ request }: OperationContext): number {
  const text = request.parameters.get("partNumber") ?? "";
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= partNumberMax) return number;
  throw new S3Error(
    "InvalidArgument",
    `Part number must be an integer between 1 and ${partNumberMax}, inclusive.`,
  );
}

/** A checksum over all parts, where every part has one of the same algorithm. */
function checksumOf(
  parts: readonly UploadedPart[],
  type: Checksum["type"] | undefined,
): Checksum | undefined {
  const algorithm = parts[0]?.checksum?.algorithm;
  const sums: { checksum: Checksum; bytes: number }[] = [];
  for (const { checksum, content } of parts) {
    if (checksum?.algorithm === algorithm && checksum !== undefined) {
      sums.push({ checksum, bytes: content.plainBytes });
    }
  }
  if (algorithm === undefined || sums.length < parts.length) return undefined;
  if (type === "FULL_OBJECT") return fullObjectChecksum(algorithm, sums);
  return compositeChecksum(
    algorithm,
    sums.map(({ checksum }) => checksum),
  );
}

/** What the client says of the whole when it completes an upload. */
function verifyWhole(
  request: S3Request,
  parts: readonly UploadedPart[],
  checksum: Checksum | undefined,
): void {
  const promised = findChecksum((name) => request.header(name));
  if (promised !== undefined && promised.value !== checksum?.value) throw new S3Error("BadDigest");
  const size = request.header("x-amz-mp-object-size");
  const actual = parts.reduce((sum, part) => sum + part.content.plainBytes, 0);
  if (size !== undefined && Number(size) !== actual) {
    throw new S3Error("InvalidRequest", "The object's size is not the one that was announced.");
  }
}

function parseParts(parts: unknown): NamedPart[] {
  if (!Array.isArray(parts) || parts.length > partNumberMax) throw new S3Error("MalformedXML");
  return parts.map((part: Record<string, unknown> | string) => {
    if (typeof part !== "object") throw new S3Error("MalformedXML");
    const { PartNumber: number, ETag: etag } = part;
    if (typeof number !== "string" || !/^\d{1,5}$/.test(number) || typeof etag !== "string") {
      throw new S3Error("MalformedXML");
    }
    const checksum = checksumAlgorithms
      .map((algorithm) => part[`Checksum${algorithm}`])
      .find((value) => value !== undefined);
    const named = { number: Number(number), etag: etag.replace(/^"(.*)"$/, "$1") };
    return typeof checksum === "string" ? { ...named, checksum } : named;
  });
}
