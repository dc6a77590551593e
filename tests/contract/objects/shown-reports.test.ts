/**
 * Reports in a real browser: whoever looks at one must not carry a task's data to a host that the task may not reach
 * itself, neither by the object store's link nor by `biplane open` (claim IAM-4).
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { reportPage } from "@biplane/cli/output/report-page";
import { eventually } from "@biplane/verify/frame/eventually";
import { type Browser, chromium, type Frame } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { StoreHome } from "../../../planes/data/objects/testing/open-store.ts";
import { type ServedObjects, serveObjects } from "../../../planes/data/objects/testing/serve.ts";
import { describeWithTools } from "../../support/tools.ts";

const key = "acme/flights/development/run1/a0/1/report.html";

describeWithTools("a report in a browser", ["chromium"], () => {
  let folder: string;
  let home: StoreHome;
  let served: ServedObjects;
  let stranger: Server;
  let browser: Browser;
  const asked: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "biplane-reports-"));
    home = await StoreHome.create();
    const objects = await home.open();
    served = await serveObjects(objects);
    stranger = createServer((request, response) => {
      asked.push(request.url!);
      response.end();
    });
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    const content = Buffer.from(report("/link"));
    await objects.store.put(key, content, { contentType: "text/html" });
  });
  afterAll(async () => {
    await browser?.close();
    stranger?.close();
    served?.close();
    await home?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  /** Tells a stranger, in all the ways that a page has. */
  function report(path: string): string {
    const at = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}${path}`;
    return `<!doctype html><title>t</title><meta http-equiv="refresh" content="1;url=${at}/refresh">
<link rel="stylesheet" href="${at}/sheet"><link rel="prefetch" href="${at}/prefetch">
<style>h1{background:url(${at}/style)}</style>
<h1>The "report" &amp; its chart</h1><svg><rect width="9" height="9" fill="red"/></svg>
<img src="${at}/image"><iframe src="${at}/frame"></iframe><object data="${at}/object"></object>
<script>fetch("${at}/script", { mode: "no-cors" }); location = "${at}/location";</script>`;
  }

  async function show(url: string, frameOf: (frames: readonly Frame[]) => Frame): Promise<string | null> {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.goto(url, { waitUntil: "load" });
    // The time in which the page would send itself elsewhere.
    await page.waitForTimeout(2_000);
    return frameOf(page.frames()).locator("h1").textContent();
  }

  async function saved(name: string, content: string): Promise<string> {
    const path = join(folder, `${name}.html`);
    await writeFile(path, content);
    return pathToFileURL(path).href;
  }

  test("is shown by the store's link and by `biplane open`, and tells nobody", async () => {
    const link = served.grants.presign({ method: "GET", key, lifetimeMs: 3_600_000, disposition: "inline" });
    expect(await show(link.reveal(), ([main]) => main!)).toBe('The "report" & its chart');
    const opened = await saved("opened", reportPage(report("/open")));
    expect(await show(opened, ([, frame]) => frame!)).toBe('The "report" & its chart');
    // The control: the same report as a page of its own tells, and is the first that does.
    const page = await browser.newPage();
    await page.goto(await saved("bare", report("/bare")));
    await eventually(
      async () => asked,
      (paths) => paths.includes("/bare/image") && paths.includes("/bare/script"),
      { withinMs: 30_000, what: "The bare report telling a stranger" },
    );
    expect(asked.filter((path) => !path.startsWith("/bare/") && path !== "/favicon.ico")).toEqual([]);
  });
});
