/** A disk that fills up: a clear refusal, nothing acknowledged is lost, and the store works on once there is space. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Agent } from "node:https";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { KiB, MiB } from "@biplane/base";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterEach, expect, test } from "vitest";
import { skip } from "../../support/tools.ts";
import { StoreProcess } from "./store-process.ts";

const Bucket = "biplane";
const prefix = "acme/flights/development/run1/";
let store: StoreProcess;
let mounted = false;
let client: S3Client | undefined;

afterEach(async () => {
  client?.destroy();
  await store.end("SIGKILL");
  if (mounted) execFileSync("umount", [store.folder]);
  mounted = false;
  await store.remove();
});

/** A disk of this size just for the store; needs root. */
function mountSmallDisk(sizeBytes: number): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", store.folder], {
      stdio: "ignore",
    });
    mounted = true;
  } catch {
    mounted = false;
  }
  return mounted;
}

async function start(freeBytesMin: number): Promise<S3Client> {
  client?.destroy();
  const ready = await store.start({ FREE_BYTES_MIN: String(freeBytesMin) });
  const requestHandler = new NodeHttpHandler({ httpsAgent: new Agent({ ca: ready.authorityPem }) });
  const { endpoint, region, credentials } = ready;
  client = new S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler,
  });
  return client;
}

/** Writes until the store refuses; gives what it took, and how it refused. */
async function fill(s3: S3Client, sizes: readonly number[]) {
  const taken = new Map<string, Buffer>();
  for (let index = 0; index < 10_000; index += 1) {
    const Key = `${prefix}${String(index).padStart(5, "0")}`;
    const Body = randomBytes(sizes[index % sizes.length]!);
    try {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
      taken.set(Key, Body);
    } catch (error) {
      if (!(error instanceof S3ServiceException)) throw error;
      return { taken, refusedKey: Key, code: error.name, status: error.$metadata.httpStatusCode };
    }
  }
  throw new Error("The disk was never full.");
}

async function expectExactly(s3: S3Client, objects: ReadonlyMap<string, Buffer>): Promise<void> {
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
  expect((Contents ?? []).map(({ Key }) => Key)).toEqual([...objects.keys()]);
  for (const [Key, content] of objects) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(Buffer.from(await Body!.transformToByteArray()).equals(content), Key).toBe(true);
  }
}

test.for([
  ["large and small objects, with the reserve that the store keeps", 2 * MiB, [3 * MiB, 10 * KiB]],
  ["large objects, to the last byte of the disk", 0, [3 * MiB]],
  ["small objects, to the last byte of the disk", 0, [60 * KiB]],
] as const)("%s", async ([, freeBytesMin, sizes], context) => {
  store = await StoreProcess.create();
  if (!mountSmallDisk(24 * MiB)) skip(context, "needs root, to mount a small disk");
  let s3 = await start(freeBytesMin);
  const { taken, refusedKey, code, status } = await fill(s3, sizes);
  expect({ code, status }).toEqual({ code: "InsufficientStorage", status: 507 });
  expect(taken.size).toBeGreaterThan(3);
  await expectExactly(s3, taken);
  await store.end("SIGKILL");
  s3 = await start(0);
  await expectExactly(s3, taken);
  if (freeBytesMin === 0) return;
  const [first] = taken.keys();
  await s3.send(new DeleteObjectCommand({ Bucket, Key: first! }));
  await s3.send(new PutObjectCommand({ Bucket, Key: refusedKey, Body: "fits now" }));
  taken.delete(first!);
  taken.set(refusedKey, Buffer.from("fits now"));
  await expectExactly(s3, taken);
});
