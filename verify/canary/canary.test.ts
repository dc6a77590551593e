import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { canaryForms, searchBytes, searchFolder, searchProcess } from "./index.ts";

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

function newCanary(): string {
  return `canary-${randomBytes(12).toString("base64url")}`;
}

const encodings: [string, (text: string) => Buffer][] = [
  ["raw", (text) => Buffer.from(text)],
  ["hex", (text) => Buffer.from(Buffer.from(text).toString("hex"))],
  ["base64", (text) => Buffer.from(Buffer.from(text).toString("base64"))],
  ["base64url", (text) => Buffer.from(Buffer.from(text).toString("base64url"))],
  ["URL", (text) => Buffer.from(encodeURIComponent(text))],
  ["JSON", (text) => Buffer.from(JSON.stringify({ text }))],
  ["UTF-16", (text) => Buffer.from(text, "utf16le")],
  ["gzip", (text) => gzipSync(text)],
  ["zlib", (text) => deflateSync(text)],
  ["zstd", (text) => zstdCompressSync(text)],
];

test.each(encodings)("a canary is found in %s, wherever it begins", (_, encode) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 50 }),
      fc.string({ maxLength: 5 }),
      fc.string({ maxLength: 5 }),
      (noise, before, after) => {
        const canary = newCanary();
        const bytes = Buffer.concat([noise, encode(`${before}${canary}${after}`), noise]);
        expect(searchBytes(bytes, canaryForms(canary), "test")).not.toEqual([]);
        expect(searchBytes(bytes, canaryForms(newCanary()), "test")).toEqual([]);
      },
    ),
  );
});

test("a file that holds the canary across two windows is found, one without is not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "biplane-canary-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const canary = newCanary();
  const bytes = Buffer.alloc(9 * 1024 * 1024, 120);
  bytes.write(canary, 8 * 1024 * 1024 - 10);
  await writeFile(join(folder, "big"), bytes);
  expect((await searchFolder(folder, canaryForms(canary))).map((one) => one.place)).toEqual([
    join(folder, "big"),
  ]);
  expect(await searchFolder(folder, canaryForms(newCanary()))).toEqual([]);
});

test("a canary in another process's memory is found, one that it never saw is not", async () => {
  const canary = newCanary();
  const child = spawn(process.execPath, ["-e", holdInMemory], { stdio: ["pipe", "pipe", "inherit"] });
  cleanups.push(() => endProcess(child));
  child.stdin.write(`${canary}\n`);
  await once(child.stdout, "data");
  expect(await searchProcess(child.pid!, canaryForms(canary))).not.toEqual([]);
  expect(await searchProcess(child.pid!, canaryForms(newCanary()))).toEqual([]);
});

const holdInMemory = `process.stdin.once("data", (bytes) => { globalThis.kept = String(bytes).trim(); console.log("kept"); });`;

async function endProcess(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}
