/** The same scenarios through four unmodified clients: whoever knows S3 knows this store. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KiB, MiB } from "@biplane/base";
import { afterAll, beforeAll, expect, test } from "vitest";
import { send } from "../../../planes/data/objects/testing/https.ts";
import { describeWithTools, type ToolName } from "../../support/tools.ts";
import { createAwsCliClient } from "./aws-cli-client.ts";
import { createJavaScriptClient } from "./javascript-client.ts";
import { createBoto3Client, createObstoreClient } from "./python-client.ts";
import type { ClientPlace, Feature, Listing, StoreClient } from "./store-client.ts";
import { StoreProcess } from "./store-process.ts";

let store: StoreProcess;
let ready: Awaited<ReturnType<StoreProcess["start"]>>;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-objects-contract-"));
  store = await StoreProcess.create();
  ready = await store.start();
});
afterAll(async () => {
  await store.remove();
  await rm(folder, { recursive: true, force: true });
});

interface ClientKind {
  readonly name: string;
  readonly tools: readonly ToolName[];
  create(place: ClientPlace): StoreClient | Promise<StoreClient>;
}

const kinds: readonly ClientKind[] = [
  { name: "AWS CLI", tools: ["aws"], create: (place) => createAwsCliClient(place, folder) },
  { name: "boto3", tools: ["boto3"], create: createBoto3Client },
  { name: "obstore", tools: ["obstore"], create: createObstoreClient },
  { name: "@aws-sdk/client-s3", tools: [], create: createJavaScriptClient },
];

for (const kind of kinds)
  describeWithTools(`the object store through ${kind.name}`, kind.tools, () => scenarios(kind));

/** The clients of one kind under test, made before its first scenario. */
class Subject {
  readonly #kind: ClientKind;
  readonly base: string;
  client!: StoreClient;
  /** With the credentials of one run's task. */
  narrow!: StoreClient;
  /** Where the client under test need not be the one that writes. */
  filler!: StoreClient;

  constructor(kind: ClientKind) {
    this.#kind = kind;
    this.base = `acme/flights/development/${kind.name.replace(/\W/g, "-").toLowerCase()}`;
  }

  async open(): Promise<void> {
    this.client = await this.#kind.create({ ready, credentials: ready.credentials });
    this.narrow = await this.#kind.create({ ready, credentials: ready.narrowCredentials });
    this.filler = await createJavaScriptClient({ ready, credentials: ready.credentials });
  }

  async close(): Promise<void> {
    for (const client of [this.client, this.narrow, this.filler]) await client.close();
  }
}

function scenarios(kind: ClientKind): void {
  const subject = new Subject(kind);
  beforeAll(() => subject.open());
  afterAll(() => subject.close());
  contentScenarios(subject);
  conditionScenarios(subject);
  changeScenarios(subject);
  listingScenarios(subject);
  accessScenarios(subject);
}

function contentScenarios(subject: Subject): void {
  test.each([0, 1, 64 * KiB, 64 * KiB + 1, 20 * MiB + 3])(
    "%i bytes go up and come back",
    async (sizeBytes) => {
      const content = randomBytes(sizeBytes);
      const up = await file(content);
      expect(await subject.client.put(`${subject.base}/size/${sizeBytes}`, up)).toBe("ok");
      const down = join(folder, "down");
      expect(await subject.client.get(`${subject.base}/size/${sizeBytes}`, down)).toBe("ok");
      expect((await readFile(down)).equals(content)).toBe(true);
      expect(await subject.client.head(`${subject.base}/size/${sizeBytes}`)).toMatchObject({ sizeBytes });
    },
  );

  test("a range gives its bytes alone", async () => {
    const content = randomBytes(3 * MiB);
    await subject.client.put(`${subject.base}/range`, await file(content));
    const down = join(folder, "range");
    expect(await subject.client.getRange(`${subject.base}/range`, MiB - 100, MiB + 99, down)).toBe("ok");
    expect((await readFile(down)).equals(content.subarray(MiB - 100, MiB + 100))).toBe(true);
  });

  test("content type and metadata are kept, and the ETag is the content's MD5", async () => {
    const content = randomBytes(100);
    const options = { contentType: "application/x-thing", metadata: { owner: "someone" } };
    expect(await subject.client.put(`${subject.base}/described`, await file(content), options)).toBe("ok");
    const etag = `"${createHash("md5").update(content).digest("hex")}"`;
    expect(await subject.client.head(`${subject.base}/described`)).toMatchObject({ ...options, etag });
  });
}

function conditionScenarios(subject: Subject): void {
  test("what is missing is not found", async () => {
    expect(await subject.client.head(`${subject.base}/missing`)).toBe("not_found");
    expect(await subject.client.get(`${subject.base}/missing`, join(folder, "none"))).toBe("not_found");
  });

  test("what the client knows already is not sent again", async () => {
    const content = randomBytes(100);
    await subject.client.put(`${subject.base}/known`, await file(content));
    const etag = `"${createHash("md5").update(content).digest("hex")}"`;
    expect(await subject.client.getIfChanged(`${subject.base}/known`, etag, join(folder, "known"))).toBe(
      "not_modified",
    );
    expect(await subject.client.getIfChanged(`${subject.base}/known`, '"other"', join(folder, "known"))).toBe(
      "ok",
    );
  });

  test("an object is created once only, where the client asks for that", async (context) => {
    requireFeature(context, subject.client, "conditional put");
    expect(
      await subject.client.put(`${subject.base}/created`, await file(Buffer.from("1")), { ifAbsent: true }),
    ).toBe("ok");
    expect(
      await subject.client.put(`${subject.base}/created`, await file(Buffer.from("2")), { ifAbsent: true }),
    ).toBe("exists");
    expect(await subject.client.head(`${subject.base}/created`)).toMatchObject({
      sizeBytes: 1,
      etag: '"c4ca4238a0b923820dcc509a6f75849b"',
    });
  });

  test("each checksum of the client's is checked and accepted", async (context) => {
    requireFeature(context, subject.client, "checksums");
    for (const checksum of subject.client.checksums) {
      const content = randomBytes(100_000);
      expect([
        checksum,
        await subject.client.put(`${subject.base}/sum`, await file(content), { checksum }),
      ]).toEqual([checksum, "ok"]);
      await subject.client.get(`${subject.base}/sum`, join(folder, "sum"));
      expect((await readFile(join(folder, "sum"))).equals(content)).toBe(true);
    }
  });
}

function changeScenarios(subject: Subject): void {
  test("an upload can be repeated and not changed (rule of state 11)", async () => {
    const key = `acme/${subject.base.split("/")[3]}/development/uploads/x/data`;
    expect(await subject.client.put(key, await file(Buffer.from("same")))).toBe("ok");
    expect(await subject.client.put(key, await file(Buffer.from("same")))).toBe("ok");
    expect(await subject.client.put(key, await file(Buffer.from("else")))).toBe("exists");
    const down = join(folder, "once");
    await subject.client.get(key, down);
    expect(String(await readFile(down))).toBe("same");
  });

  test("a copy is the same, small and large", async () => {
    for (const sizeBytes of [10, 20 * MiB]) {
      const content = randomBytes(sizeBytes);
      await subject.client.put(`${subject.base}/copy/from`, await file(content));
      expect(await subject.client.copy(`${subject.base}/copy/from`, `${subject.base}/copy/to`)).toBe("ok");
      await subject.client.get(`${subject.base}/copy/to`, join(folder, "copy"));
      expect((await readFile(join(folder, "copy"))).equals(content)).toBe(true);
    }
  });

  test("many objects are deleted at once, missing ones too", async () => {
    const keys = [1, 2, 3].map((index) => `${subject.base}/delete/${index}`);
    for (const key of keys) await subject.client.put(key, await file(Buffer.from("x")));
    expect(await subject.client.remove([...keys, `${subject.base}/delete/never`])).toBe("ok");
    expect(await subject.client.list(`${subject.base}/delete/`)).toMatchObject({ keys: [] });
  });
}

function listingScenarios(subject: Subject): void {
  test("listings are complete, in order, over many pages, and by folder", async () => {
    const names = Array.from(
      { length: 20 },
      (_, index) => `${subject.base}/list/${String(index).padStart(2, "0")}/x`,
    );
    const up = await file(Buffer.from("x"));
    for (const name of [...names, `${subject.base}/list/top`]) await subject.filler.put(name, up);
    expect(await subject.client.list(`${subject.base}/list/`)).toMatchObject({
      keys: [...names, `${subject.base}/list/top`],
    });
    expect(await subject.client.listFolder(`${subject.base}/list/`)).toEqual({
      keys: [`${subject.base}/list/top`],
      prefixes: names.map((name) => name.slice(0, -1)),
    });
    expect(await subject.client.list(`${subject.base}/nothing/`)).toMatchObject({ keys: [] });
  }, 120_000);

  test("keys with every kind of character stay what they are", async () => {
    const up = await file(Buffer.from("x"));
    const names = [
      "with space",
      "plus+and%25",
      "a&b=c?d#e",
      "ümläut-日本-\u{1F680}",
      "quote'\"<>",
      "(paren)!*~",
    ];
    for (const name of names) {
      const key = `${subject.base}/characters/${name}`;
      expect([name, await subject.client.put(key, up)]).toEqual([name, "ok"]);
      expect(await subject.client.head(key)).toMatchObject({ sizeBytes: 1 });
    }
    const listed = (await subject.client.list(`${subject.base}/characters/`)) as Listing;
    expect([...listed.keys].sort()).toEqual(names.map((name) => `${subject.base}/characters/${name}`).sort());
  });
}

function accessScenarios(subject: Subject): void {
  test("URLs that the client signs work, and no longer once they are altered (claim FLOW-2)", async () => {
    await subject.client.put(`${subject.base}/signed`, await file(Buffer.from("signed content")));
    const url = await subject.client.presign("GET", `${subject.base}/signed`);
    const { authorityPem } = ready;
    expect(await send(url, { authorityPem })).toMatchObject({
      status: 200,
      body: Buffer.from("signed content"),
    });
    expect(await send(url.replace("/signed", "/described"), { authorityPem })).toMatchObject({ status: 403 });
    if (subject.client.lacks["presign put"] !== undefined) return;
    const put = await subject.client.presign("PUT", `${subject.base}/signed-put`);
    const upload = { method: "PUT", body: "new", headers: { "content-length": 3 }, authorityPem };
    expect(await send(put, upload)).toMatchObject({ status: 200 });
    expect(await subject.client.head(`${subject.base}/signed-put`)).toMatchObject({ sizeBytes: 3 });
  });

  test("a session of one run sees and writes its own prefix alone (claim IAM-4)", async () => {
    const own = "acme/flights/development/run1/a0/1/file";
    const up = await file(Buffer.from("x"));
    expect(await subject.narrow.put(own, up)).toBe("ok");
    expect(await subject.narrow.get(own, join(folder, "own"))).toBe("ok");
    await subject.client.put("acme/flights/development/run1/inputs.pb", up);
    expect(await subject.narrow.get("acme/flights/development/run1/inputs.pb", join(folder, "own"))).toBe(
      "ok",
    );
    expect(await subject.narrow.put("acme/flights/development/run1/inputs.pb", up)).toBe("denied");
    expect(await subject.narrow.put(`${subject.base}/foreign`, up)).toBe("denied");
    expect(await subject.narrow.get(`${subject.base}/described`, join(folder, "own"))).toBe("denied");
    expect(await subject.narrow.list(`${subject.base}/`)).toBe("denied");
    expect(await subject.narrow.list("acme/flights/development/run1/")).toMatchObject({
      keys: expect.arrayContaining([own]),
    });
  });
}

let files = 0;

async function file(content: Uint8Array): Promise<string> {
  files += 1;
  const path = join(folder, `up-${files}`);
  await writeFile(path, content);
  return path;
}

/** What a client can't say is no fault of the store's, and no tool is missing: it is named and passed over. */
function requireFeature(
  context: { skip(reason: string): never },
  client: StoreClient,
  feature: Feature,
): void {
  const reason = client.lacks[feature];
  if (reason !== undefined) context.skip(reason);
}
