/**
 * Tests that need a program or package of the machine. Where it is missing they are skipped with the reason and the
 * command that installs it; with CI=true a missing tool fails the test, so that a skip can't hide there.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, type TestContext, test } from "vitest";

export const pythonPath = resolve(import.meta.dirname, "../../.tools/venv/bin/python");
export const flytePath = resolve(import.meta.dirname, "../../.tools/venv/bin/flyte");

interface Tool {
  readonly probe: readonly [program: string, ...parameters: string[]];
  readonly install: string;
}

const tools = {
  aws: { probe: ["/usr/bin/aws", "--version"], install: "apt-get install awscli" },
  bubblewrap: { probe: ["bwrap", "--version"], install: "apt-get install bubblewrap" },
  tcpdump: { probe: ["tcpdump", "--version"], install: "apt-get install tcpdump" },
  strace: { probe: ["strace", "--version"], install: "apt-get install strace" },
  boto3: pythonPackage("boto3"),
  obstore: pythonPackage("obstore"),
  tink: pythonPackage("tink"),
  flyte: { probe: [flytePath, "--version"], install: "npm test, where python3 and PyPI are there" },
} as const satisfies Record<string, Tool>;

export type ToolName = keyof typeof tools;

function pythonPackage(name: string): Tool {
  return {
    probe: [pythonPath, "-c", `import ${name}`],
    install: "npm test, where python3 and PyPI are there",
  };
}

/** The reason why tests that need these tools can't run, or undefined where all are there. */
export function missingTools(names: readonly ToolName[]): string | undefined {
  const missing = names.filter((name) => !works(tools[name].probe));
  if (missing.length === 0) return undefined;
  return `needs ${missing.map((name) => `${name} (${tools[name].install})`).join(" and ")}`;
}

/** Like `describe`, with the suite skipped where a tool is missing; in CI that fails instead. */
export function describeWithTools(title: string, names: readonly ToolName[], suite: () => void): void {
  const reason = missingTools(names);
  if (reason === undefined) describe(title, suite);
  else describe(title, () => test("has the tools that it needs", (context) => skip(context, reason)));
}

/** Skips one test for want of something on the machine; in CI it fails instead. */
export function skip(context: TestContext, reason: string): never {
  if (process.env["CI"] === "true") throw new Error(`In CI nothing is skipped, and this test ${reason}.`);
  return context.skip(reason);
}

const probed = new Map<string, boolean>();

function works(probe: Tool["probe"]): boolean {
  const key = probe.join(" ");
  const known = probed.get(key);
  if (known !== undefined) return known;
  const [program, ...parameters] = probe;
  const here = program.startsWith("/") && !existsSync(program) ? false : succeeds(program, parameters);
  probed.set(key, here);
  return here;
}

function succeeds(program: string, parameters: readonly string[]): boolean {
  return spawnSync(program, parameters, { stdio: "ignore", timeout: 60_000 }).status === 0;
}
