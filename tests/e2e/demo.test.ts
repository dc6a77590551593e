/** `npm run demo` from its build: it tells the truth, leaves nothing running, and ends with 0. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const demo = resolve(import.meta.dirname, "../../dist/demo.mjs");

test("the demo runs the example, tells what each plane holds, and stops everything", async () => {
  const { code, output, errors } = await runDemo();
  expect({ code, errors: code === 0 ? "" : errors }).toEqual({ code: 0, errors: "" });
  expect(output).toContain("3,000,000 flights from 229 airports");
  expect(output).toMatch(/actions: 232 succeeded/);
  expect(output).toMatch(/229 parts of the flights/);
  // Live progress, with numbers that grow up to the whole.
  expect(errors).toMatch(/actions done/);
  expect(errors).toContain("232/232 actions done");
  const report = /The report: (\S+)/.exec(output)?.[1] ?? "";
  expect(readFileSync(report, "utf8")).toContain("<svg");
  for (const [, pid] of output.matchAll(/(?:process|side,) (\d+)\)/g)) {
    expect(existsSync(`/proc/${pid}`), `process ${pid} is still there`).toBe(false);
  }
});

function runDemo(): Promise<{ code: number | null; output: string; errors: string }> {
  const child = spawn(process.execPath, [demo], { stdio: ["ignore", "pipe", "pipe"] });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
  });
  return new Promise((done) => child.once("close", (code) => done({ code, output, errors })));
}
