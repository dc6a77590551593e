/** PutObject, CopyObject, DeleteObject and DeleteObjects. */
import { MiB } from "@biplane/base";
import type { Checksum, ChecksumAlgorithm, ObjectEntry } from "../../store/entries.ts";
import { putBytesMax } from "../../store/objects.ts";
import { requireAccess } from "../access.ts";
import { openPayload, readWhole } from "../body.ts";
import { checksumHeader, parseAlgorithm, startChecksum } from "../checksums.ts";
import { decideRead, writeCondition } from "../conditions.ts";
import { readDescription } from "../object-headers.ts";
import type { Operation, OperationContext } from "../operation.ts";
import { decodePath } from "../request.ts";
import { type Headers, sendEmpty, sendXml } from "../respond.ts";
import { S3Error } from "../s3-error.ts";
import { parseXml, type Xml } from "../xml.ts";

const deletedMax = 1_000;

export const putObject: Operation = async (context) => {
  const { request, response, authenticated, key } = context;
  const description = readDescription(request);
  const payload = openPayload(request, response, authenticated, putBytesMax);
  const condition = writeCondition(request);
  const entry = await context.objects.put(key, payload.bytes, {
    description,
    sizeBytes: payload.sizeBytes,
    needsSha256: payload.needsSha256,
    verify: (digests) => payload.verify(digests),
    ...(condition === undefined ? {} : { condition }),
  });
  sendEmpty(response, 200, writtenHeaders(entry));
};

/** Decrypts and encrypts anew: the copy is bound to its own key. */
export const copyObject: Operation = async (context) => {
  const { request, response, key } = context;
  const source = findCopySource(context);
  const keeps = (request.header("x-amz-metadata-directive") ?? "COPY").toUpperCase() === "COPY";
  if (keeps && source.key === key) {
    throw new S3Error("InvalidRequest", "This copy request would change nothing: the source is the target.");
  }
  const written = readDescription(request);
  const { contentType, metadata, headers } = keeps ? source : written;
  const condition = writeCondition(request);
  const algorithm = parseAlgorithm(request.header("x-amz-checksum-algorithm")) ?? source.checksum?.algorithm;
  const checksum = startOptional(algorithm);
  const entry = await context.objects.put(key, summed(context.objects.read(source), checksum), {
    description: { contentType, metadata, headers },
    sizeBytes: source.sizeBytes,
    ...(condition === undefined ? {} : { condition }),
    verify: () => checksum?.finish(),
  });
  const result: Xml[] = [
    ["LastModified", new Date(entry.modifiedAtMs).toISOString()],
    ["ETag", `"${entry.etag}"`],
  ];
  sendXml(response, ["CopyObjectResult", result], { "x-amz-server-side-encryption": "AES256" });
};

export const deleteObject: Operation = async (context) => {
  await context.objects.remove(context.key, writeCondition(context.request));
  sendEmpty(context.response, 204);
};

export const deleteObjects: Operation = async (context) => {
  const { request, response, authenticated } = context;
  const body = await readWhole(request, response, authenticated, 2 * MiB);
  const document = parseXml(body.toString(), "Delete");
  const keys = parseKeys(document["Object"]);
  const quiet = document["Quiet"] === "true";
  const results: (Xml | undefined)[] = [];
  for (const key of keys) results.push(await deleteOne(context, key, quiet));
  sendXml(response, ["DeleteResult", results]);
};

async function deleteOne(context: OperationContext, key: string, quiet: boolean): Promise<Xml | undefined> {
  try {
    requireAccess(context.authenticated, "delete", key);
    await context.objects.remove(key);
    return quiet ? undefined : ["Deleted", [["Key", key]]];
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    return [
      "Error",
      [
        ["Key", key],
        ["Code", error.code],
        ["Message", error.message],
      ],
    ];
  }
}

function parseKeys(objects: unknown): string[] {
  if (!Array.isArray(objects) || objects.length === 0 || objects.length > deletedMax) {
    throw new S3Error("MalformedXML");
  }
  return objects.map((object: { Key?: unknown } | string) => {
    if (typeof object !== "object" || typeof object.Key !== "string") throw new S3Error("MalformedXML");
    return object.Key;
  });
}

/** The object that `x-amz-copy-source` names, where the sender may read it and its conditions hold. */
export function findCopySource(context: OperationContext): ObjectEntry {
  const source = decodePath((context.request.header("x-amz-copy-source") ?? "").replace(/\?.*$/, "")).replace(
    /^\//,
    "",
  );
  const [bucket, ...rest] = source.split("/");
  const key = rest.join("/");
  if (bucket !== context.bucket) throw new S3Error("NoSuchBucket");
  requireAccess(context.authenticated, "read", key);
  const entry = context.objects.entry(key);
  if (entry === undefined) throw new S3Error("NoSuchKey");
  if (decideRead(context.request, entry, "x-amz-copy-source-") === "not_modified") {
    throw new S3Error("PreconditionFailed");
  }
  return entry;
}

interface OptionalChecksum {
  update(bytes: Uint8Array): void;
  finish(): Checksum;
}

export function startOptional(algorithm: ChecksumAlgorithm | undefined): OptionalChecksum | undefined {
  if (algorithm === undefined) return undefined;
  const running = startChecksum(algorithm);
  return {
    update: (bytes) => running.update(bytes),
    finish: () => ({ algorithm, value: running.finish(), type: "FULL_OBJECT" }),
  };
}

export async function* summed(
  body: AsyncIterable<Uint8Array>,
  checksum: OptionalChecksum | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    checksum?.update(chunk);
    yield chunk;
  }
}

function writtenHeaders(entry: ObjectEntry): Headers {
  const { checksum } = entry;
  return {
    etag: `"${entry.etag}"`,
    "x-amz-server-side-encryption": "AES256",
    ...(checksum === undefined
      ? {}
      : { [checksumHeader(checksum.algorithm)]: checksum.value, "x-amz-checksum-type": checksum.type }),
  };
}
