/** People sign in with the command line: by browser, by device code, and stay signed in as their tokens are renewed. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { redeemClaim } from "@biplane/cli/dev/first-administrator";
import { type LocalSystem, startLocalSystem } from "@biplane/cli/dev/local-system";
import { Browser, hiddenFields } from "@biplane/verify/sign-in/browser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { missingTools } from "../support/tools.ts";

const launcher = resolve(import.meta.dirname, "../../clients/cli/bin/biplane.mjs");
const user = { email: "ada@example.com", name: "Ada", password: "correct horse battery" };

let folder: string;
let system: LocalSystem;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "biplane-sign-in-"));
  const allowUnsandboxed = missingTools(["bubblewrap"]) !== undefined;
  system = await startLocalSystem({ folder: join(folder, "system"), org: "acme", allowUnsandboxed });
  await redeemClaim(system.profile, system.claim ?? "", { user });
});
afterAll(async () => {
  await system?.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; output: string; errors: string }>;
  /** Waits for words on standard error. */
  said(pattern: RegExp): Promise<string>;
}

function start(...words: string[]): Running {
  const child = spawn(process.execPath, [launcher, ...words], {
    // No browser is started: the test opens the address itself.
    env: { ...process.env, BIPLANE_CONFIG_DIR: join(folder, "config"), PATH: "/nonexistent" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, errors] = ["", ""];
  const waiting = new Set<() => void>();
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
    for (const wake of waiting) wake();
  });
  const ended = new Promise<{ code: number | null; output: string; errors: string }>((done) =>
    child.once("close", (code) => done({ code, output, errors })),
  );
  const said = (pattern: RegExp) =>
    new Promise<string>((done, fail) => {
      const look = () => {
        const found = pattern.exec(errors)?.[1];
        if (found !== undefined) done(found);
      };
      waiting.add(look);
      look();
      void ended.then(() => fail(new Error(`It ended without saying ${pattern}: ${errors}`)));
    });
  return { child, ended, said };
}

async function whoami(name: string): Promise<Record<string, string>> {
  const { code, output, errors } = await start("whoami", "--profile", name, "-o", "json").ended;
  if (code !== 0) throw new Error(errors);
  return JSON.parse(output) as Record<string, string>;
}

function browser(): Browser {
  return new Browser(system.profile.rootPem, [system.profile.authority]);
}

/** The browser's last step: it brings the code to the listener on loopback. */
function visit(url: string): Promise<number> {
  return new Promise((done, fail) => {
    get(url, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    }).once("error", fail);
  });
}

test("by browser: PKCE, a listener on loopback, and then the person is known to the router", async () => {
  const login = start("login", "--profile", system.profilePath, "--name", "browser");
  const address = await login.said(/(https:\/\/\S+\/auth\?\S+)/);
  expect(address).toContain("code_challenge_method=S256");
  const page = browser();
  const last = await page.signIn(await page.open(address), user.email, user.password);
  expect(last.url).toMatch(/^http:\/\/localhost:\d+\/callback\?code=/);
  expect(await visit(last.url)).toBe(200);
  expect((await login.ended).code).toBe(0);
  expect(await whoami("browser")).toMatchObject({ name: "Ada", email: "ada@example.com", org: "acme" });
});

test("an answer that was not asked for signs nobody in", async () => {
  const login = start("login", "--profile", system.profilePath, "--name", "forged");
  const address = new URL(await login.said(/(https:\/\/\S+\/auth\?\S+)/));
  await visit(`${address.searchParams.get("redirect_uri")}?code=stolen&state=guessed`);
  const { code, errors } = await login.ended;
  expect(code).toBe(4);
  expect(errors).toContain("refused the sign-in");
});

test.each(["https://evil.example", undefined])(
  "an answer of another authority is refused though its state is right (mix-up, RFC 9207; iss %s)",
  async (iss) => {
    const login = start("login", "--profile", system.profilePath, "--name", "mixed");
    const page = browser();
    const last = await page.signIn(
      await page.open(await login.said(/(https:\/\/\S+\/auth\?\S+)/)),
      user.email,
      user.password,
    );
    // The code is good; that another authority says so is all that is wrong.
    const answer = new URL(last.url);
    answer.searchParams.delete("iss");
    if (iss !== undefined) answer.searchParams.set("iss", iss);
    await visit(answer.href);
    const { code, errors } = await login.ended;
    expect(code).toBe(4);
    expect(errors).toContain("refused the sign-in");
  },
);

test("by device code, where this machine has no browser", async () => {
  const login = start("login", "--profile", system.profilePath, "--name", "device", "--device");
  const userCode = await login.said(/enter the code (\S+)/);
  const { authority } = system.profile;
  const page = browser();
  const asked = await page.open(`${authority}/device`);
  const entered = await page.submit(asked.url, { ...hiddenFields(asked.body), user_code: userCode });
  const agreed = await page.submit(`${authority}/device`, {
    ...hiddenFields(entered.body),
    user_code: userCode,
  });
  await page.signIn(agreed, user.email, user.password);
  expect((await login.ended).code).toBe(0);
  expect(await whoami("device")).toMatchObject({ name: "Ada" });
});

test("an access token that has ended is renewed, and the new refresh token takes the old one's place", async () => {
  const path = join(folder, "config/credentials.json");
  const read = () => JSON.parse(readFileSync(path, "utf8")) as Record<string, { refreshToken: string }>;
  const before = read();
  const ended = { ...before["browser"], expiresAtMs: 0 };
  writeFileSync(path, JSON.stringify({ ...before, browser: ended }));
  expect(await whoami("browser")).toMatchObject({ name: "Ada" });
  expect(read()["browser"]?.refreshToken).not.toBe(before["browser"]?.refreshToken);
});
