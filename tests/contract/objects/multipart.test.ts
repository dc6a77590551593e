/** Multipart uploads in all their steps, through the AWS SDK: what clients rely on beyond a plain upload. */
import { randomBytes } from "node:crypto";
import { Agent } from "node:https";
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  type ChecksumType,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { MiB } from "@biplane/base";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startChecksum } from "../../../planes/data/objects/s3/checksums.ts";
import { StoreProcess } from "./store-process.ts";

const Bucket = "biplane";
const prefix = "acme/flights/development/multipart/";
let store: StoreProcess;
let client: S3Client;

beforeAll(async () => {
  store = await StoreProcess.create();
  const { endpoint, region, credentials, authorityPem } = await store.start();
  const requestHandler = new NodeHttpHandler({ httpsAgent: new Agent({ ca: authorityPem }) });
  client = new S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler,
  });
});
afterAll(async () => {
  client.destroy();
  await store.remove();
});

async function create(
  Key: string,
  options: { ChecksumAlgorithm?: ChecksumAlgorithm; ChecksumType?: ChecksumType } = {},
) {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...options }));
  return { Bucket, Key, UploadId: UploadId! };
}

type Upload = Awaited<ReturnType<typeof create>>;

async function putPart(
  upload: Upload,
  PartNumber: number,
  Body: Uint8Array,
  algorithm?: ChecksumAlgorithm,
): Promise<CompletedPart> {
  const checksum = algorithm === undefined ? {} : { ChecksumAlgorithm: algorithm };
  const answer = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ...checksum }));
  const { ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA256 } = answer;
  return { PartNumber, ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA256 };
}

function complete(upload: Upload, Parts: CompletedPart[], more: object = {}) {
  return client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, ...more }));
}

async function read(Key: string, more: object = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await Body!.transformToByteArray());
}

test("parts come in any order, can be replaced, and are put together by number", async () => {
  const upload = await create(`${prefix}order`);
  const [one, two, three] = [randomBytes(5 * MiB), randomBytes(5 * MiB + 1), randomBytes(7)];
  const third = await putPart(upload, 30, three!);
  await putPart(upload, 2, randomBytes(5 * MiB));
  const first = await putPart(upload, 1, one!);
  const second = await putPart(upload, 2, two!);
  await putPart(upload, 4, randomBytes(10));
  const { ETag } = await complete(upload, [first, second, third]);
  expect(ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
  expect((await read(upload.Key)).equals(Buffer.concat([one!, two!, three!]))).toBe(true);
  expect((await read(upload.Key, { PartNumber: 2 })).equals(two!)).toBe(true);
  expect(
    (await read(upload.Key, { Range: `bytes=${5 * MiB - 1}-${5 * MiB}` })).equals(
      Buffer.concat([one!.subarray(-1), two!.subarray(0, 1)]),
    ),
  ).toBe(true);
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: upload.Key, PartNumber: 1 }));
  expect(head).toMatchObject({ PartsCount: 3, ContentLength: 5 * MiB });
});

test.each([
  ["CRC32", "FULL_OBJECT"],
  ["CRC32C", "FULL_OBJECT"],
  ["CRC64NVME", "FULL_OBJECT"],
  ["CRC32", "COMPOSITE"],
  ["SHA256", "COMPOSITE"],
] as const)("a %s checksum of type %s is kept for the whole object", async (algorithm, type) => {
  const upload = await create(`${prefix}${algorithm}-${type}`, {
    ChecksumAlgorithm: algorithm,
    ChecksumType: type,
  });
  const contents = [randomBytes(5 * MiB), randomBytes(100_001)];
  const parts = [
    await putPart(upload, 1, contents[0]!, algorithm),
    await putPart(upload, 2, contents[1]!, algorithm),
  ];
  const name = `Checksum${algorithm}` as const;
  const expected = startChecksum(algorithm);
  if (type === "FULL_OBJECT") for (const content of contents) expected.update(content);
  else
    for (const part of parts) expected.update(Buffer.from((part as Record<string, string>)[name]!, "base64"));
  const value = expected.finish() + (type === "COMPOSITE" ? "-2" : "");
  const completed = await complete(upload, parts);
  expect(completed).toMatchObject({ [name]: value, ChecksumType: type });
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: upload.Key, ChecksumMode: "ENABLED" }));
  expect(head).toMatchObject({ [name]: value, ChecksumType: type });
});

test("a whole that is not what the client says is refused, and the upload stays", async () => {
  const upload = await create(`${prefix}promise`, {
    ChecksumAlgorithm: "CRC32",
    ChecksumType: "FULL_OBJECT",
  });
  const part = await putPart(upload, 1, randomBytes(100), "CRC32");
  await expect(complete(upload, [part], { ChecksumCRC32: "AAAAAA==" })).rejects.toMatchObject({
    name: "BadDigest",
  });
  await expect(complete(upload, [part], { MpuObjectSize: 99 })).rejects.toMatchObject({
    name: "InvalidRequest",
  });
  await expect(complete(upload, [part], { MpuObjectSize: 100 })).resolves.toBeDefined();
});

test("wrong parts are refused with S3's own codes", async () => {
  const upload = await create(`${prefix}wrong`);
  const small = await putPart(upload, 1, randomBytes(100));
  const other = await putPart(upload, 2, randomBytes(100));
  const refusal = (parts: CompletedPart[]) => expect(complete(upload, parts)).rejects;
  await refusal([small, other]).toMatchObject({ name: "EntityTooSmall" });
  await refusal([other, small]).toMatchObject({ name: "InvalidPartOrder" });
  await refusal([{ ...small, ETag: other.ETag }]).toMatchObject({ name: "InvalidPart" });
  await refusal([{ ...small, PartNumber: 3 }]).toMatchObject({ name: "InvalidPart" });
  await refusal([]).toMatchObject({ name: "MalformedXML" });
  for (const number of [0, 10_001]) {
    await expect(putPart(upload, number, randomBytes(1))).rejects.toMatchObject({ name: "InvalidArgument" });
  }
  await expect(putPart({ ...upload, Key: `${prefix}else` }, 1, randomBytes(1))).rejects.toMatchObject({
    name: "NoSuchUpload",
  });
});

test("completing again gives the same answer; a completed or aborted upload takes no more", async () => {
  const upload = await create(`${prefix}again`);
  const part = await putPart(upload, 1, randomBytes(10));
  const { ETag } = await complete(upload, [part]);
  expect(await complete(upload, [part])).toMatchObject({ ETag });
  await expect(putPart(upload, 2, randomBytes(1))).rejects.toMatchObject({ name: "NoSuchUpload" });
  const aborted = await create(`${prefix}aborted`);
  await putPart(aborted, 1, randomBytes(10));
  await client.send(new AbortMultipartUploadCommand(aborted));
  await expect(complete(aborted, [part])).rejects.toMatchObject({ name: "NoSuchUpload" });
  await expect(client.send(new AbortMultipartUploadCommand(aborted))).rejects.toMatchObject({
    name: "NoSuchUpload",
  });
});

test("parts and uploads are listed page by page", async () => {
  const uploads = [];
  for (const name of ["a", "b", "b", "c"]) uploads.push(await create(`${prefix}list/${name}`));
  for (const number of [3, 1, 2]) await putPart(uploads[0]!, number, randomBytes(number));
  const first = await client.send(new ListPartsCommand({ ...uploads[0]!, MaxParts: 2 }));
  expect(first.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
    [1, 1],
    [2, 2],
  ]);
  const PartNumberMarker = first.NextPartNumberMarker;
  const rest = await client.send(new ListPartsCommand({ ...uploads[0]!, PartNumberMarker }));
  expect(rest).toMatchObject({ IsTruncated: false, Parts: [{ PartNumber: 3 }] });
  const listed: (string | undefined)[] = [];
  for (let markers = {}, more = true; more; ) {
    const place = { Bucket, Prefix: `${prefix}list/`, MaxUploads: 1, ...markers };
    const page = await client.send(new ListMultipartUploadsCommand(place));
    listed.push(...(page.Uploads ?? []).map(({ Key }) => Key?.slice(-1)));
    markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    more = page.IsTruncated === true;
  }
  expect(listed).toEqual(["a", "b", "b", "c"]);
});

test("a part can be copied from a range of another object", async () => {
  const source = randomBytes(6 * MiB);
  await client.send(new PutObjectCommand({ Bucket, Key: `${prefix}source`, Body: source }));
  const upload = await create(`${prefix}copied`);
  const { CopyPartResult } = await client.send(
    new UploadPartCopyCommand({
      ...upload,
      PartNumber: 1,
      CopySource: `${Bucket}/${prefix}source`,
      CopySourceRange: `bytes=10-${5 * MiB + 9}`,
    }),
  );
  await complete(upload, [{ PartNumber: 1, ETag: CopyPartResult?.ETag }]);
  expect((await read(upload.Key)).equals(source.subarray(10, 5 * MiB + 10))).toBe(true);
});

test("a multipart upload to a write-once key can be repeated and not changed (rule of state 11)", async () => {
  const Key = "acme/flights/development/uploads/multipart/file";
  const content = randomBytes(200_000);
  const whole = async (bytes: Uint8Array) => {
    const upload = await create(Key);
    return complete(upload, [await putPart(upload, 1, bytes)]);
  };
  await whole(content);
  await expect(whole(content)).resolves.toBeDefined();
  await expect(whole(randomBytes(200_000))).rejects.toMatchObject({ name: "ConditionalRequestConflict" });
  expect((await read(Key)).equals(content)).toBe(true);
});
