/** `npm run demo` from its build: it tells the truth, leaves nothing running, and ends with 0. */
import { execSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
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

test("a demo that was kept tells where its states are, and how to start it again or to be rid of it", async () => {
  const home = mkdtempSync(join(tmpdir(), "biplane-demo-home-"));
  const { code, output } = await runDemo(["--keep"], { BIPLANE_CONFIG_DIR: home }, "Ctrl-C stops it.");
  expect(code).toBe(0);
  const [running = "", ended = ""] = output.split("\nStopped.");
  const folder = /stay in (\S+)/.exec(running)?.[1] ?? "";
  const removal = `rm -r ${folder}; npx biplane config remove demo`;
  expect(running).toContain(removal);
  expect(ended).toContain(removal);
  expect(ended).toContain(`npx biplane dev --state ${folder}`);
  expect(existsSync(join(folder, "data/profile.json"))).toBe(true);
  const options = {
    cwd: resolve(import.meta.dirname, "../.."),
    env: { ...process.env, BIPLANE_CONFIG_DIR: home },
  };
  execSync(removal, options);
  expect(existsSync(folder)).toBe(false);
  expect(JSON.parse(readFileSync(join(home, "config.json"), "utf8"))).toMatchObject({ profiles: {} });
});

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** `until`: what it says when Ctrl-C is wanted. */
function runDemo(
  words: string[] = [],
  environment: Record<string, string> = {},
  until?: string,
): Promise<Ended> {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [demo, ...words], { stdio: ["ignore", "pipe", "pipe"], env });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    const hadCome = until !== undefined && output.includes(until);
    output += chunk;
    if (until !== undefined && !hadCome && output.includes(until)) child.kill("SIGINT");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
  });
  return new Promise((done) => child.once("close", (code) => done({ code, output, errors })));
}
