/** What is on disk is Tink's published format: Google's own library reads it, given the key. */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KiB, MiB, Secret } from "@biplane/base";
import { newKey, systemClock } from "@biplane/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../../../planes/data/objects/store/engine.ts";
import { associatedData, type Content } from "../../../planes/data/objects/store/entries.ts";
import { Objects } from "../../../planes/data/objects/store/objects.ts";
import {
  cipherBytes,
  plainBytesOf,
  SegmentOpener,
  SegmentSealer,
  type StreamFormat,
  segmentCount,
  segmentPlace,
} from "../../../planes/data/objects/store/stream-cipher.ts";
import { Uploads } from "../../../planes/data/objects/store/uploads.ts";
import { describeWithTools, pythonPath } from "../../support/tools.ts";
import { type TinkVector, tinkVectors } from "./tink-vectors.ts";

/** How Tink calls the format on disk. */
const onDisk: StreamFormat = { segmentBytes: MiB, keyBytes: 32, hash: "sha256" };
const vectors = Object.entries(tinkVectors);

describe("Tink's published test vectors for the format", () => {
  const open = ({ key, ciphertext, associated, plaintext, format }: TinkVector) =>
    readStream({
      key: new Secret(Buffer.from(key, "hex")),
      stream: Buffer.from(ciphertext, "hex"),
      associated,
      plainBytes: plaintext.length,
      format,
    });

  test.each(vectors)("are read here: %s", (_, vector) => {
    expect(open(vector).toString()).toBe(vector.plaintext);
  });

  test.each(vectors)("are read only whole and unchanged: %s", (_, vector) => {
    const { ciphertext, associated } = vector;
    expect(() => open({ ...vector, associated: `${associated}.` })).toThrow(/damaged/);
    for (let at = 0; at < ciphertext.length; at += 2) {
      const flipped = (Number.parseInt(ciphertext.slice(at, at + 2), 16) ^ 1).toString(16).padStart(2, "0");
      const changed = ciphertext.slice(0, at) + flipped + ciphertext.slice(at + 2);
      expect(() => open({ ...vector, ciphertext: changed })).toThrow(/damaged/);
    }
  });
});

interface Stream {
  readonly key: ReturnType<typeof newKey>;
  readonly stream: Buffer;
  readonly associated: string;
  readonly plainBytes: number;
  readonly format: StreamFormat;
}

function readStream({ key, stream, associated, plainBytes, format }: Stream): Buffer {
  const header = stream.subarray(0, segmentPlace(0, plainBytes, format).offset);
  const opener = new SegmentOpener(key, header, associated, plainBytes, format);
  const segments = Array.from({ length: segmentCount(plainBytes, format) }, (_, segment) => {
    const { offset, length } = segmentPlace(segment, plainBytes, format);
    return opener.open(segment, stream.subarray(offset, offset + length));
  });
  return Buffer.concat(segments);
}

describeWithTools("the format on disk", ["tink"], () => {
  const projectKey = newKey();
  const description = { contentType: "text/plain", metadata: {}, headers: {} };
  let folder: string;
  let engine: Engine;
  let objects: Objects;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "biplane-tink-"));
    const contentKeys = { current: async () => ({ id: "1", key: projectKey }), get: async () => projectKey };
    engine = await Engine.open({
      folder,
      systemKey: newKey(),
      contentKeys,
      freeBytesMin: 0,
      clock: systemClock,
    });
    objects = new Objects(engine);
  });
  afterAll(async () => {
    await engine.close();
    await rm(folder, { recursive: true, force: true });
  });

  function streamOf(key: string, version: string, content: Content, secret = projectKey) {
    const { place } = content;
    const file = place.kind === "file" ? join("files", place.name) : join("packs", `${place.pack}.pack`);
    return {
      file: join(folder, file),
      offset: place.kind === "file" ? 0 : place.offset,
      length: cipherBytes(content.plainBytes),
      associated: associatedData(key, version, content.part),
      format: onDisk,
      key: Buffer.from(secret.reveal()).toString("hex"),
    };
  }

  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

  function askTink(streams: object[]): string[] {
    const script = join(import.meta.dirname, "tink_decrypt.py");
    return JSON.parse(
      execFileSync(pythonPath, [script], {
        input: JSON.stringify(streams),
        encoding: "utf8",
        maxBuffer: 64 * MiB,
      }),
    );
  }

  test("Tink decrypts objects of every shape: empty, packed, at segment edges, and large", async () => {
    const sizes = [0, 1, 64 * KiB, 64 * KiB + 1, MiB - 56, MiB - 55, 2 * MiB - 72, 3 * MiB + 1];
    const contents = sizes.map((size) => randomBytes(size));
    const streams = [];
    for (const [index, content] of contents.entries()) {
      const entry = await objects.put(`acme/flights/development/r/${index}`, content, { description });
      streams.push(streamOf(entry.key, entry.version, entry.parts[0]!));
    }
    expect(askTink(streams)).toEqual(contents.map(sha256));
  });

  test("each part of a multipart object is a stream of its own", async () => {
    const uploads = new Uploads(engine, objects);
    const key = "acme/flights/development/r/parts";
    const upload = await uploads.create({ ...description, key });
    const contents = [randomBytes(5 * MiB), randomBytes(10)];
    const named = [];
    for (const [index, content] of contents.entries()) {
      const part = await uploads.putPart(upload, index + 1, content, {
        withSha256: false,
        verify: () => undefined,
      });
      named.push({ number: index + 1, etag: part.etag });
    }
    const entry = await uploads.complete(upload.id, key, named, {});
    const [one, two] = entry.parts.map((part) => streamOf(key, entry.version, part));
    expect(askTink([one!, two!])).toEqual(contents.map(sha256));
    // Each in the other's place: neither opens.
    const swapped = [
      { ...one!, file: two!.file, offset: two!.offset, length: two!.length },
      { ...two!, file: one!.file, offset: one!.offset, length: one!.length },
    ];
    expect(askTink(swapped).filter((answer) => /^[0-9a-f]{64}$/.test(answer))).toEqual([]);
  });

  test("another key, another object, another version or part does not open a stream", async () => {
    const content = randomBytes(100);
    const { key, version, parts } = await objects.put("acme/flights/development/r/bound", content, {
      description,
    });
    const part = parts[0]!;
    const decrypted = askTink([
      streamOf(key, version, part, newKey()),
      streamOf(`${key}2`, version, part),
      streamOf(key, randomBytes(16).toString("hex"), part),
      streamOf(key, version, { ...part, part: 1 }),
      streamOf(key, version, part),
    ]);
    expect(decrypted.slice(0, 4).filter((answer) => /^[0-9a-f]{64}$/.test(answer))).toEqual([]);
    expect(decrypted[4]).toBe(sha256(content));
  });

  test("what Tink encrypted is read here: empty, one byte, at segment edges, of three segments", () => {
    const contents = [0, 1, MiB - 56, MiB - 55, 2 * MiB + 99].map((size) => randomBytes(size));
    const key = Buffer.from(projectKey.reveal()).toString("hex");
    const streams = contents.map((content) => ({
      ...{ do: "encrypt", key, associated: "anything", format: onDisk, plaintext: content.toString("hex") },
    }));
    for (const [index, hex] of askTink(streams).entries()) {
      const content = contents[index]!;
      const stream = Buffer.from(hex, "hex");
      expect(stream.length).toBe(cipherBytes(content.length));
      const reading = { key: projectKey, stream, plainBytes: content.length, format: onDisk };
      expect(sha256(readStream({ ...reading, associated: "anything" }))).toBe(sha256(content));
      // Control: under another associated data it does not open.
      expect(() => readStream({ ...reading, associated: "another" })).toThrow(/damaged/);
    }
  });

  test.each(vectors)(
    "Tink reads its own vectors, and what is sealed here in their formats: %s",
    (_, vector) => {
      const { key, associated, plaintext, ciphertext, format } = vector;
      const sealer = new SegmentSealer(new Secret(Buffer.from(key, "hex")), associated, format);
      const sealed = [sealer.header];
      const plain = Buffer.from(plaintext);
      for (let segment = 0, from = 0; segment < segmentCount(plain.length, format); segment += 1) {
        const to = from + plainBytesOf(segment, format);
        sealed.push(...sealer.seal(plain.subarray(from, to), to >= plain.length));
        from = to;
      }
      const stream = { key, associated, format };
      const ours = { ...stream, ciphertext: Buffer.concat(sealed).toString("hex") };
      expect(askTink([{ ...stream, ciphertext }, ours])).toEqual([sha256(plain), sha256(plain)]);
    },
  );
});
