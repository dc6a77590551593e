/** The unmodified `flyte` command line signs in by each of its ways: client secret, device code, browser with PKCE. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@biplane/base";
import { Browser, hiddenFields, type Page } from "@biplane/verify/sign-in/browser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPlane, type TestPlane } from "../../planes/data/plane.testing.ts";
import { describeWithTools, flytePath } from "../support/tools.ts";

const email = "ada@example.com";
const password = "correct horse battery";
const waitMsMax = 30_000;

describeWithTools("the unmodified flyte 2.6.5 command line signs in", ["flyte"], () => {
  let plane: TestPlane;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "flyte-sign-in-"));
    plane = await startTestPlane();
    writeFileSync(join(folder, "root.pem"), plane.rootPem);
    const claim = await plane.stores.identity.claims.create();
    const person = { email, name: "Ada Lovelace", password: new Secret(password) };
    await plane.stores.identity.claims.redeem({ claim, person });
    await plane.stores.identity.policy.reload();
  });
  afterAll(async () => {
    await plane?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("with a client secret (claim IAM-1)", async () => {
    const client = await plane.client("Viewer");
    const settings = { authType: "ClientSecret", clientId: client.id, clientSecretEnvVar: "CLIENT_SECRET" };
    const whoAmI = start(settings, { CLIENT_SECRET: client.secret });
    expect(await whoAmI.output()).toContain(client.id);
  });

  test("with a device code that a person approves in a browser (claim IAM-1)", async () => {
    const whoAmI = start({ authType: "DeviceFlow" });
    const code = await whoAmI.printed(/user_code=([A-Z0-9-]+)/);
    expect((await approveDevice(code)).body).toContain("You are signed in");
    expect(await whoAmI.output()).toContain(email);
  });

  test("in a browser, with PKCE, coming back to its own loopback port (claim IAM-1)", async () => {
    const seen = join(folder, "url");
    const script = join(folder, "browser.sh");
    writeFileSync(script, `#!/bin/sh\necho "$1" > "${seen}"\n`);
    chmodSync(script, 0o755);
    const whoAmI = start({ authType: "Pkce" }, { BROWSER: `${script} %s` });
    await until(() => existsSync(seen));
    const browser = newBrowser();
    const end = await browser.signIn(await browser.open(readFileSync(seen, "utf8").trim()), email, password);
    expect(end.url).toMatch(/^http:\/\/localhost:\d+\/callback\?code=/);
    // The client's own listener, on its own machine; nothing of Biplane's speaks plaintext.
    await fetch(end.url);
    expect(await whoAmI.output()).toContain(email);
  });

  function newBrowser(): Browser {
    const { authority, router } = plane.config.addresses;
    return new Browser(plane.rootPem, [authority, router]);
  }

  async function approveDevice(code: string): Promise<Page> {
    const { authority } = plane.config.addresses;
    const browser = newBrowser();
    const page = await browser.open(`${authority}/device`);
    const entered = await browser.submit(page.url, { ...hiddenFields(page.body), user_code: code });
    const form = { ...hiddenFields(entered.body), user_code: code };
    return browser.signIn(await browser.submit(`${authority}/device`, form), email, password);
  }

  function start(settings: Record<string, string>, environment: Record<string, string> = {}): Command {
    const path = join(folder, `${settings["authType"]}.yaml`);
    const endpoint = `dns:///${new URL(plane.config.addresses.router).host}`;
    const admin = { endpoint, caCertFilePath: join(folder, "root.pem"), disableKeyring: true, ...settings };
    // JSON is YAML.
    writeFileSync(path, JSON.stringify({ admin, task: { project: "flights", domain: "development" } }));
    const child = spawn(flytePath, ["--config", path, "whoami"], {
      cwd: folder,
      env: {
        PATH: process.env["PATH"],
        HOME: folder,
        SSL_CERT_FILE: join(folder, "root.pem"),
        FLYTE_DISABLE_SENTRY: "1",
        PYTHONUNBUFFERED: "1",
        NO_COLOR: "1",
        ...environment,
      },
    });
    return new Command(child);
  }
});

class Command {
  readonly #child: ChildProcess;
  #text = "";

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#text += chunk.toString();
      });
    }
  }

  /** The group of the pattern, once it was printed. */
  async printed(pattern: RegExp): Promise<string> {
    await until(() => pattern.test(this.#text) || this.#child.exitCode !== null);
    const found = pattern.exec(this.#text)?.[1];
    expect(found, this.#text).toBeDefined();
    return found!;
  }

  /** Everything printed, once it has ended well. */
  async output(): Promise<string> {
    const stop = setTimeout(() => this.#child.kill("SIGKILL"), waitMsMax);
    if (this.#child.exitCode === null) await once(this.#child, "exit");
    clearTimeout(stop);
    expect(this.#child.exitCode, this.#text).toBe(0);
    return this.#text;
  }
}

async function until(condition: () => boolean): Promise<void> {
  const endsAtMs = Date.now() + waitMsMax;
  while (!condition()) {
    if (Date.now() > endsAtMs) throw new Error("It took too long.");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
