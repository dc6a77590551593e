/** `@aws-sdk/client-s3` from npm, as its users call it. */
import { createReadStream, createWriteStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { Agent } from "node:https";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  type ChecksumAlgorithm,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { ClientPlace, Head, Listing, Outcome, PutOptions, StoreClient } from "./store-client.ts";

const partBytes = 8 * 1024 * 1024;

export async function createJavaScriptClient({ ready, credentials }: ClientPlace): Promise<StoreClient> {
  const ca = await readFile(ready.caPath);
  const client = new S3Client({
    endpoint: ready.endpoint,
    region: ready.region,
    credentials,
    forcePathStyle: true,
    requestHandler: new NodeHttpHandler({ httpsAgent: new Agent({ ca, keepAlive: true }) }),
  });
  return new JavaScriptClient(client, ready.bucket);
}

class JavaScriptClient implements StoreClient {
  readonly name = "@aws-sdk/client-s3";
  readonly lacks = {};
  readonly checksums = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  put(key: string, file: string, options: PutOptions = {}): Promise<Outcome> {
    return outcomeOf(async () => {
      const { size } = await stat(file);
      if (size > partBytes) return this.#putParts(key, file, size, options);
      await this.#client.send(
        new PutObjectCommand({
          Bucket: this.#bucket,
          Key: key,
          Body: createReadStream(file),
          ContentLength: size,
          ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
          ...(options.metadata === undefined ? {} : { Metadata: { ...options.metadata } }),
          ...(options.ifAbsent === true ? { IfNoneMatch: "*" } : {}),
          ...(options.checksum === undefined
            ? {}
            : { ChecksumAlgorithm: options.checksum as ChecksumAlgorithm }),
        }),
      );
    });
  }

  get(key: string, file: string): Promise<Outcome> {
    return outcomeOf(() => this.#download({ Key: key }, file));
  }

  getRange(key: string, first: number, last: number, file: string): Promise<Outcome> {
    return outcomeOf(() => this.#download({ Key: key, Range: `bytes=${first}-${last}` }, file));
  }

  getIfChanged(key: string, etag: string, file: string): Promise<Outcome> {
    return outcomeOf(() => this.#download({ Key: key, IfNoneMatch: etag }, file));
  }

  async head(key: string): Promise<Head | Outcome> {
    let head: Head | undefined;
    const outcome = await outcomeOf(async () => {
      const answer = await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: key }));
      head = {
        sizeBytes: answer.ContentLength ?? -1,
        etag: answer.ETag ?? "",
        contentType: answer.ContentType ?? "",
        metadata: answer.Metadata ?? {},
      };
    });
    return head ?? outcome;
  }

  async list(prefix: string): Promise<Listing | Outcome> {
    const keys: string[] = [];
    const outcome = await outcomeOf(async () => {
      for (let token: string | undefined, more = true; more; ) {
        const place = { Bucket: this.#bucket, Prefix: prefix, MaxKeys: 7, EncodingType: "url" as const };
        const page = await this.#client.send(
          new ListObjectsV2Command({
            ...place,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        );
        for (const { Key } of page.Contents ?? []) keys.push(decodeURIComponent(Key ?? ""));
        token = page.NextContinuationToken;
        more = page.IsTruncated === true;
      }
    });
    return outcome === "ok" ? { keys, prefixes: [] } : outcome;
  }

  async listFolder(prefix: string): Promise<Listing> {
    const place = { Bucket: this.#bucket, Prefix: prefix, Delimiter: "/" };
    const page = await this.#client.send(new ListObjectsV2Command(place));
    return {
      keys: (page.Contents ?? []).map(({ Key }) => Key ?? ""),
      prefixes: (page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? ""),
    };
  }

  copy(from: string, to: string): Promise<Outcome> {
    const CopySource = `${this.#bucket}/${from.split("/").map(encodeURIComponent).join("/")}`;
    return outcomeOf(() =>
      this.#client.send(new CopyObjectCommand({ Bucket: this.#bucket, Key: to, CopySource })),
    );
  }

  remove(keys: readonly string[]): Promise<Outcome> {
    const Delete = { Objects: keys.map((Key) => ({ Key })) };
    return outcomeOf(async () => {
      const { Errors } = await this.#client.send(new DeleteObjectsCommand({ Bucket: this.#bucket, Delete }));
      if (Errors !== undefined && Errors.length > 0) throw new Error(Errors[0]!.Message);
    });
  }

  presign(method: "GET" | "PUT", key: string): Promise<string> {
    const place = { Bucket: this.#bucket, Key: key };
    const command = method === "GET" ? new GetObjectCommand(place) : new PutObjectCommand(place);
    return getSignedUrl(this.#client, command, { expiresIn: 600 });
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  async #download(
    request: { Key: string; Range?: string; IfNoneMatch?: string },
    file: string,
  ): Promise<void> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, ...request }));
    await pipeline(Body as Readable, createWriteStream(file));
  }

  async #putParts(key: string, file: string, size: number, options: PutOptions): Promise<void> {
    const place = { Bucket: this.#bucket, Key: key };
    const { UploadId } = await this.#client.send(
      new CreateMultipartUploadCommand({
        ...place,
        ...(options.metadata === undefined ? {} : { Metadata: { ...options.metadata } }),
      }),
    );
    const parts: CompletedPart[] = [];
    for (let start = 0; start < size; start += partBytes) {
      const end = Math.min(start + partBytes, size);
      const part = { ...place, UploadId, PartNumber: parts.length + 1 };
      const Body = createReadStream(file, { start, end: end - 1 });
      const answer = await this.#client.send(
        new UploadPartCommand({ ...part, Body, ContentLength: end - start }),
      );
      parts.push({ PartNumber: part.PartNumber, ETag: answer.ETag, ChecksumCRC32: answer.ChecksumCRC32 });
    }
    const completion = { ...place, UploadId, MultipartUpload: { Parts: parts } };
    await this.#client.send(new CompleteMultipartUploadCommand(completion));
  }
}

async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    await work();
    return "ok";
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    const outcome = outcomes[error.$metadata.httpStatusCode ?? 0];
    if (outcome === undefined) throw error;
    return outcome;
  }
}

const outcomes: Readonly<Record<number, Outcome>> = {
  304: "not_modified",
  403: "denied",
  404: "not_found",
  409: "exists",
  412: "exists",
};
