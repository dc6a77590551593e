import { spawn } from "node:child_process";
import { once } from "node:events";
import { deflateSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { Canaries } from "./canary.ts";
import { readMemory } from "./process-memory.ts";

const canaries = new Canaries();
const planted = canaries.plant("input");

test.each([
  ["plain", Buffer.from(planted)],
  ["UTF-16", Buffer.from(planted, "utf16le")],
  ["hex", Buffer.from(Buffer.from(planted).toString("hex"))],
  ["base64", Buffer.from(Buffer.from(planted).toString("base64"))],
  ["base64 after one byte", Buffer.from(Buffer.from(`a${planted}`).toString("base64"))],
  ["base64 after two bytes", Buffer.from(Buffer.from(`ab${planted}`).toString("base64"))],
  [
    "escaped for URLs",
    Buffer.from([...planted].map((c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`).join("")),
  ],
  ["gzip", gzipSync(`{"value":"${planted}"}`)],
  ["zlib", deflateSync(planted)],
])("a canary is found in %s form among other bytes", (_, bytes) => {
  const found = canaries.search(Buffer.concat([Buffer.alloc(1_001, 7), bytes, Buffer.alloc(99, 9)]), "here");
  expect(found.length).toBeGreaterThan(0);
  expect(found[0]!.where).toMatch(/^here at byte 1001|^here at byte 100[1-9]/);
});

test("control: another run's canary is not found", () => {
  expect(canaries.search(Buffer.from(new Canaries().plant("input")), "here")).toEqual([]);
});

test("a canary is found in the memory of a process that holds it, and its kind is read", async () => {
  const program =
    "const held = process.argv[1] + 'xheldx'; process.stdin.resume(); console.log(held.length);";
  const child = spawn(process.execPath, ["-e", program, canaries.marker], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  try {
    await once(child.stdout, "data");
    const found = [...readMemory(child.pid!)].flatMap(({ where, bytes }) => canaries.search(bytes, where));
    expect(found.map(({ form }) => form)).toContain("plain");
  } finally {
    child.kill("SIGKILL");
  }
});
