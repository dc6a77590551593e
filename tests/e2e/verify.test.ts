/** `biplane verify` on the running demo: every claim holds, and every control is caught. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { claims } from "@biplane/verify";
import { afterAll, beforeAll, expect, test } from "vitest";
import { programPath } from "../support/daemon.ts";
import { describeWithTools } from "../support/tools.ts";

const launcher = join(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
const folder = mkdtempSync(join(tmpdir(), "biplane-verify-test-"));
const environment = {
  ...process.env,
  HOME: folder,
  BIPLANE_CONFIG_DIR: join(folder, "config"),
  NO_COLOR: "1",
};
let demo: ChildProcess | undefined;

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

interface Outcome {
  readonly claims: readonly { id: string; status: string; reason: string; evidence: string[] }[];
  readonly controls: readonly { id: string; caught: boolean }[];
}

async function verify(...words: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [launcher, "verify", "--profile", "demo", ...words], {
    env: environment,
  });
  const [parts, errors]: [string[], string[]] = [[], []];
  child.stdout.on("data", (chunk: Buffer) => parts.push(chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => errors.push(chunk.toString()));
  const [code] = (await once(child, "close")) as [number];
  return { code, output: parts.join(""), errors: errors.join("") };
}

/** As the profile has it that the demo left on this machine. */
function rootFingerprint(): string {
  const { profiles } = JSON.parse(readFileSync(join(folder, "config/config.json"), "utf8")) as {
    profiles: Record<string, { profile: { rootFingerprint: string } }>;
  };
  return profiles["demo"]!.profile.rootFingerprint;
}

/** The demo's own words say when it is there to be looked at. */
async function startDemo(): Promise<void> {
  demo = spawn(process.execPath, [programPath("demo"), "--keep"], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: demo.stdout! })) {
    if (line.startsWith("It keeps running")) return;
  }
  throw new Error("The demo ended by itself.");
}

describeWithTools("verify", ["tcpdump", "tshark", "strace"], () => {
  beforeAll(startDemo, 240_000);
  afterAll(async () => {
    if (demo?.exitCode === null) {
      demo.kill("SIGTERM");
      await once(demo, "exit");
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test("every claim holds on the running demo, none is left out, and the JSON has its promised form", async () => {
    const { code, output } = await verify("--json");
    const outcome = JSON.parse(output) as Outcome;
    expect(outcome.claims.filter(({ status }) => status !== "pass")).toEqual([]);
    expect(outcome.claims.map(({ id }) => id)).toEqual(claims.map(({ id }) => id));
    for (const claim of outcome.claims) {
      expect(Object.keys(claim)).toEqual(["id", "status", "reason", "evidence"]);
      expect(claim.evidence.length, claim.id).toBeGreaterThan(0);
    }
    expect(Object.keys(outcome)).toEqual(["claims", "controls"]);
    expect(outcome.controls).toEqual([]);
    expect(code).toBe(0);
  }, 600_000);

  test("control: every deliberate violation is caught by the check of its claim", async () => {
    const { code, output } = await verify("--control", "--json");
    const outcome = JSON.parse(output) as Outcome;
    expect(outcome.controls).toEqual(claims.map(({ id }) => ({ id, caught: true })));
    expect(outcome.claims).toEqual([]);
    expect(code).toBe(0);
  }, 600_000);

  test("from the customer's side alone, what can't be judged says why, and nothing fails", async () => {
    const { code, output } = await verify("--remote", "--json", "--claims", "TLS-2,TLS-4,REST-1");
    const outcome = JSON.parse(output) as Outcome;
    expect(outcome.claims.map(({ id, status }) => [id, status])).toEqual([
      ["REST-1", "not-applicable"],
      ["TLS-2", "pass"],
      ["TLS-4", "pass"],
    ]);
    expect(outcome.claims[0]!.reason).toContain("do not run on this machine");
    expect(code).toBe(0);
  });

  test("leaves signed evidence that is checked offline, and refused where it was changed", async () => {
    const name = join(folder, "evidence");
    expect(await verify("--claims", "NET-1", "--report", name)).toMatchObject({ code: 0 });
    for (const path of [`${name}.json`, `${name}.html`]) {
      const { output, code } = await verify("--check", path, "--root", rootFingerprint());
      expect(output).toMatch(/NET-1 +pass.*Genuine: signed by cluster home of acme/s);
      expect(code).toBe(0);
    }
    const changed = join(folder, "changed.html");
    writeFileSync(changed, readFileSync(`${name}.html`, "utf8").replace("holds", "holds well"));
    expect(await verify("--check", changed)).toMatchObject({
      code: 1,
      errors: expect.stringContaining("refused"),
    });
    expect((await verify("--check", `${name}.json`, "--root", "ab".repeat(32))).code).toBe(1);
  });

  test("people get a table, and a claim that does not exist is refused with those that do", async () => {
    const { code, output, errors } = await verify("--claims", "net-1");
    expect(output).toMatch(/^CLAIM +RESULT +WHAT\nNET-1 +pass /);
    expect(errors).toContain("1 of 1 verified");
    expect(code).toBe(0);
    const unknown = await verify("--claims", "NET-1,NET-99");
    expect(unknown.errors).toMatch(/no claim NET-99.*NET-1/s);
    expect(unknown.code).toBe(2);
  });
});
