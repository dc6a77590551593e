/** Sizes at their bounds: inputs up to 10 MiB, files as large as the disk, planes that stay small (claims FLOW-1, FLOW-4). */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { limits, MiB } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { File } from "@biplane/sdk";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { encodeInputs } from "@biplane/sdk/values/inputs-outputs";
import { residentBytes } from "@biplane/verify/search/process-memory";
import { toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type System, startSystem } from "./system.ts";

const numbers = resolve(import.meta.dirname, "workflows/numbers.ts");
const files = resolve(import.meta.dirname, "workflows/files.ts");

let system: System;
let client: RemoteClient;
beforeAll(async () => {
  system = await startSystem();
  client = await system.connect();
});
afterAll(() => system?.close());

/** A text whose inputs message has exactly so many bytes: the envelope's own size depends on the text's. */
function textForInputsOf(bytes: number): string {
  const size = (characters: number) => {
    const field = { name: "text", type: { kind: "string" as const } };
    const inputs = encodeInputs([field as never], { text: "x".repeat(characters) });
    return toBinary(flyte.task.InputsSchema, inputs).length;
  };
  let characters = bytes - size(0);
  while (size(characters) > bytes) characters -= 1;
  expect(size(characters)).toBe(bytes);
  return "x".repeat(characters);
}

async function lengthOf(text: string): Promise<unknown> {
  const run = await client.run({ file: numbers, task: "length" }, { text });
  expect(await run.wait()).toMatchObject({ succeeded: true });
  return run.outputs();
}

test.each([
  ["no byte", () => ""],
  ["1 byte", () => "x"],
  ["10 MiB with their envelope", () => textForInputsOf(limits.inputBytesMax)],
])("inputs of %s reach the task whole (FLOW-4)", async (_, make) => {
  const text = make();
  expect(await lengthOf(text)).toBe(text.length);
});

test("inputs of 10 MiB + 1 byte are refused with their size, the bound and what to do (FLOW-4)", async () => {
  const text = `${textForInputsOf(limits.inputBytesMax)}x`;
  const refused = client.run({ file: numbers, task: "length" }, { text });
  await expect(refused).rejects.toThrow(/10485761 bytes.*10 MiB.*Pass large data as a file/s);
});

const fileBytes = 1024 * MiB;
const growthBytesMax = 100 * MiB;

test("a file of 1 GiB passes client, store and task while no plane's process grows by 100 MB (FLOW-1)", async () => {
  const path = join(system.folder, "large.bin");
  const sha256 = await writeRandomFile(path);
  const planes = [system.control, system.edge, system.data];
  const before = planes.map(({ pid }) => residentBytes(pid));
  const peaks = [...before];
  const sampler = setInterval(() => {
    for (const [index, { pid }] of planes.entries())
      peaks[index] = Math.max(peaks[index]!, residentBytes(pid));
  }, 100);
  try {
    const source = new File(await client.upload(path));
    const run = await client.run({ file: files, task: "copy-file" }, { source });
    expect(await run.wait()).toMatchObject({ succeeded: true });
    expect(await run.outputs()).toMatchObject({ sha256 });
  } finally {
    clearInterval(sampler);
    await rm(path, { force: true });
  }
  const grownMiB = peaks.map((peak, index) => Math.round((peak - before[index]!) / MiB));
  expect(Math.max(...grownMiB), `grown by MiB: ${grownMiB.join(", ")}`).toBeLessThan(growthBytesMax / MiB);
}, 600_000);

/** Repeats one random MiB with a counter in it: fast to make, and every part differs. */
async function writeRandomFile(path: string): Promise<string> {
  const block = Buffer.alloc(MiB, createHash("sha512").update(path).digest());
  function* blocks() {
    for (let index = 0; index < fileBytes / MiB; index += 1) {
      const copy = Buffer.from(block);
      copy.writeUInt32BE(index, 0);
      yield copy;
    }
  }
  await pipeline(Readable.from(blocks()), createWriteStream(path));
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
