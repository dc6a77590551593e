/** `kill -9` of the store while many write: what was acknowledged is there, the rest is there wholly or not at all. */
import { createHash, randomBytes, randomInt } from "node:crypto";
import { readdir } from "node:fs/promises";
import { Agent } from "node:https";
import { join } from "node:path";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { KiB, MiB } from "@biplane/base";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterEach, expect, test } from "vitest";
import { StoreProcess } from "./store-process.ts";

const rounds = 6;
const writers = 8;
const Bucket = "biplane";
const prefix = "acme/flights/development/run1/";

let store: StoreProcess | undefined;
afterEach(() => store?.remove());

/** For each key: what is acknowledged (undefined: deleted), and what was sent after it without an answer. */
class Ledger {
  readonly acknowledged = new Map<string, string | undefined>();
  readonly open = new Map<string, (string | undefined)[]>();

  async record(key: string, state: string | undefined, work: () => Promise<unknown>): Promise<void> {
    this.open.set(key, [...(this.open.get(key) ?? []), state]);
    await work();
    this.acknowledged.set(key, state);
    this.open.delete(key);
  }

  allowed(key: string): (string | undefined)[] {
    return [this.acknowledged.get(key), ...(this.open.get(key) ?? [])];
  }

  /** After a check: what was found is the truth from now on. */
  settle(key: string, found: string | undefined): void {
    this.acknowledged.set(key, found);
    this.open.delete(key);
  }
}

const digestOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

function connect(ready: Awaited<ReturnType<StoreProcess["start"]>>): S3Client {
  const httpsAgent = new Agent({ ca: ready.authorityPem, keepAlive: true, maxSockets: writers });
  return new S3Client({
    endpoint: ready.endpoint,
    region: ready.region,
    credentials: ready.credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({ httpsAgent }),
  });
}

/** Each writer has keys of its own and writes until the store is gone. */
async function writeUntilKilled(client: S3Client, ledger: Ledger, writer: number): Promise<void> {
  for (;;) {
    const Key = `${prefix}${writer}/${randomInt(5)}`;
    const kind = randomInt(10);
    try {
      if (kind === 0) {
        await ledger.record(Key, undefined, () => client.send(new DeleteObjectCommand({ Bucket, Key })));
      } else if (kind === 1) {
        await putParts(client, ledger, Key);
      } else {
        const Body = randomBytes(randomInt(kind < 4 ? 3 * MiB : 20 * KiB));
        await ledger.record(Key, digestOf(Body), () =>
          client.send(new PutObjectCommand({ Bucket, Key, Body })),
        );
      }
    } catch {
      return;
    }
  }
}

async function putParts(client: S3Client, ledger: Ledger, Key: string): Promise<void> {
  const contents = [randomBytes(5 * MiB), randomBytes(randomInt(100 * KiB))];
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
  for (const [index, Body] of contents.entries()) {
    const PartNumber = index + 1;
    const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    Parts.push({ PartNumber, ETag });
  }
  const completion = new CompleteMultipartUploadCommand({
    Bucket,
    Key,
    UploadId,
    MultipartUpload: { Parts },
  });
  await ledger.record(Key, digestOf(Buffer.concat(contents)), () => client.send(completion));
}

async function check(client: S3Client, ledger: Ledger): Promise<void> {
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
  const found = new Map<string, string>();
  for (const { Key } of Contents ?? []) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: Key! }));
    found.set(Key!, digestOf(await Body!.transformToByteArray()));
  }
  for (const key of new Set([...found.keys(), ...ledger.acknowledged.keys(), ...ledger.open.keys()])) {
    expect(ledger.allowed(key), key).toContain(found.get(key));
    ledger.settle(key, found.get(key));
  }
}

test(`${rounds} kills in the middle of writing lose nothing and leave no half object`, async () => {
  store = await StoreProcess.create();
  const ledger = new Ledger();
  for (let round = 0; round < rounds; round += 1) {
    const ready = await store.start();
    const client = connect(ready);
    await check(client, ledger);
    const writing = Array.from({ length: writers }, (_, writer) => writeUntilKilled(client, ledger, writer));
    await new Promise((resolve) => setTimeout(resolve, 300 + randomInt(1_200)));
    await store.end("SIGKILL");
    await Promise.all(writing);
    client.destroy();
  }
  const client = connect(await store.start());
  await check(client, ledger);
  expect(ledger.acknowledged.size).toBeGreaterThan(writers);
  for (const key of ledger.acknowledged.keys()) {
    await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
  }
  client.destroy();
  await store.end("SIGTERM");
});

test("content that was never acknowledged is cleared away at the next start", async () => {
  store = await StoreProcess.create();
  const ready = await store.start();
  const client = connect(ready);
  const kept = randomBytes(200 * KiB);
  await client.send(new PutObjectCommand({ Bucket, Key: `${prefix}kept`, Body: kept }));
  const ledger = new Ledger();
  const writing = Array.from({ length: writers }, (_, writer) => writeUntilKilled(client, ledger, writer));
  await new Promise((resolve) => setTimeout(resolve, 700));
  await store.end("SIGKILL");
  await Promise.all(writing);
  client.destroy();
  const again = connect(await store.start());
  const { Contents } = await again.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
  const large = (Contents ?? []).filter(({ Size, ETag }) => Size! > 64 * KiB && !ETag!.includes("-")).length;
  const parts = (Contents ?? []).filter(({ ETag }) => ETag!.includes("-")).length * 2;
  const uploading = await uploadedParts(again);
  expect(await readdir(join(store.folder, "objects/files"))).toHaveLength(large + parts + uploading);
  expect(large).toBeGreaterThan(0);
  again.destroy();
});

/** Parts of uploads that were not completed: acknowledged, so they stay until the upload is given up. */
async function uploadedParts(client: S3Client): Promise<number> {
  const { ListMultipartUploadsCommand, ListPartsCommand } = await import("@aws-sdk/client-s3");
  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  let count = 0;
  for (const { Key, UploadId } of Uploads ?? []) {
    const { Parts } = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
    count += (Parts ?? []).length;
  }
  return count;
}
