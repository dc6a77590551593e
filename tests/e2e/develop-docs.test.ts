/**
 * The developers' pages as people use them: every module is written down and compiled, every command is typed in the pages'
 * order on a whole system, and has to print what its page says (`#> …`).
 */
import { execFile } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type System, startSystem } from "./system.ts";

const root = resolve(import.meta.dirname, "../..");
const pages = readdirSync(join(root, "docs/develop")).map((name) => ({
  name,
  text: readFileSync(join(root, "docs/develop", name), "utf8"),
}));

interface Ended {
  readonly code: number;
  readonly text: string;
}

let system: System;
let folder: string;

beforeAll(async () => {
  // Below the checkout, as the pages say: that is where `@biplane/sdk` is found.
  folder = mkdtempSync(join(root, "dist", "develop-"));
  for (const { text } of pages) writeModules(text);
  writeFileSync(
    join(folder, "readme.ts"),
    blocksOf(readFileSync(join(root, "README.md"), "utf8"), "ts")[0] ?? "",
  );
  copyFileSync(
    join(root, "node_modules/vega-datasets/data/flights-3m.parquet"),
    join(folder, "flights-3m.parquet"),
  );
  writeCommand();
  system = await startSystem();
});
afterAll(async () => {
  await system?.close();
  rmSync(folder, { recursive: true, force: true });
});

function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].flatMap(([, found, body = ""]) =>
    found === language ? [body] : [],
  );
}

function writeModules(text: string): void {
  for (const body of blocksOf(text, "ts")) {
    const name = /^\/\/ (\S+\.ts)\n/.exec(body)?.[1];
    if (name === undefined) throw new Error(`A module has no name in its first line:\n${body}`);
    writeFileSync(join(folder, name), body);
  }
}

function writeCommand(): void {
  const path = join(folder, "bin", "biplane");
  mkdirSync(join(folder, "bin"));
  writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${join(root, "dist/cli.mjs")}" "$@"\n`);
  chmodSync(path, 0o700);
}

function runScript(script: string): Promise<Ended> {
  const path = [join(folder, "bin"), join(root, "node_modules/.bin"), process.env["PATH"]].join(":");
  const env = {
    ...process.env,
    ...system.environment(),
    BIPLANE_CONFIG_DIR: join(folder, "config"),
    PATH: path,
  };
  return new Promise((done) => {
    execFile("bash", ["-euo", "pipefail", "-c", script], { cwd: folder, env }, (error, output, errors) =>
      done({ code: error === null ? 0 : Number(error.code), text: `${output}${errors}` }),
    );
  });
}

/** Each command with what has to be in its output. */
function stepsOf(script: string): { command: string; expected: string[] }[] {
  const steps: { command: string; expected: string[] }[] = [];
  for (const line of script.split("\n")) {
    if (line.startsWith("#> ")) steps.at(-1)?.expected.push(line.slice(3));
    else if (line !== "") steps.push({ command: line, expected: [] });
  }
  return steps;
}

test("every module compiles with the strictest of compilers' settings", async () => {
  const config = { extends: "../../tsconfig.json", include: ["*.ts"], exclude: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  expect(await runScript("tsc -p .")).toEqual({ code: 0, text: "" });
});

test("control: a module that does not compile is found", async () => {
  writeFileSync(
    join(folder, "wrong.ts"),
    'import { total } from "./orders.ts";\nexport const one: number = total;\n',
  );
  const { code, text } = await runScript("tsc -p .");
  rmSync(join(folder, "wrong.ts"));
  expect(code).not.toBe(0);
  expect(text).toContain("wrong.ts");
});

test.for(pages)("the commands of $name print what it says", async ({ text }) => {
  const steps = blocksOf(text, "sh").flatMap(stepsOf);
  expect(steps.length).toBeGreaterThan(0);
  for (const { command, expected } of steps) {
    const ended = await runScript(command);
    expect(ended.code, `${command}\n${ended.text}`).toBe(0);
    for (const words of expected) expect(ended.text, command).toContain(words);
  }
});

test("the first page's example, the README's, runs", async () => {
  const { code, text } = await runScript("biplane run readme.ts sumOfSquares --up-to 3 --wait");
  expect(code, text).toBe(0);
  expect(text).toMatch(/^14$/m);
});
