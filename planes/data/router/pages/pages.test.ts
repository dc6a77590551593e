import { type RunId, Secret } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { Browser, fetchPage } from "@biplane/verify/sign-in/browser";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPlane, type TestPlane, testOrg } from "../../plane.testing.ts";
import { runPage } from "./run-page.ts";

const email = "ada@example.com";
const password = "correct horse battery";
let plane: TestPlane;
let runUrl: string;
let runName: string;

beforeAll(async () => {
  plane = await startTestPlane();
  const claim = await plane.stores.identity.claims.create();
  const person = { email, name: "Ada", password: new Secret(password) };
  await plane.stores.identity.claims.redeem({ claim, person });
  const { token } = await plane.client("Admin");
  const transport = plane.transport(token);
  await createClient(flyte.project.ProjectService, transport).createProject({
    project: { id: "flights", name: "Flights" },
  });
  const { run } = await createClient(flyte.workflow.RunService, transport).createRun({
    id: { case: "projectId", value: { name: "flights", domain: "development" } },
    task: { case: "taskSpec", value: { taskTemplate: { id: { name: "task", version: "1" } } } },
  });
  runName = run!.action!.id!.run!.name;
  runUrl = `${plane.config.addresses.router}/v2/domain/development/project/flights/runs/${runName}`;
});
afterAll(() => plane?.close());

function newBrowser(): Browser {
  const { router, authority } = plane.config.addresses;
  return new Browser(plane.rootPem, [router, authority]);
}

describe("the page that stock clients link to", () => {
  test("leads through the sign-in and back, and shows the run", async () => {
    const browser = newBrowser();
    const signIn = await browser.open(runUrl);
    expect(signIn.url).toContain(plane.config.addresses.authority);
    const page = await browser.signIn(signIn, email, password);
    expect(page.url).toBe(runUrl);
    expect(page.status).toBe(200);
    expect(page.body).toContain(`Run ${runName}`);
    expect(page.body).toContain("queued");
    // Signed in now: no detour, and the visit is on record with the person's name.
    expect((await browser.open(runUrl)).url).toBe(runUrl);
    const record = (await plane.audit()).findLast((one) => one.code === "PAGE_READ")!;
    expect(record).toMatchObject({ decision: "allowed", run: runName });
    expect(record.subject).toMatch(/^user-/);
  });

  test("escapes what people wrote, and lets no script in", async () => {
    const id = { org: testOrg, project: "flights", domain: "development", run: runName } as RunId;
    const { runs } = plane.stores.runs;
    // No name that could do harm is taken at the door; the page does not rely on it.
    const getRun = async () => ({ ...(await runs.getRun(id)), taskName: "<b>task</b>" });
    const written = await runPage({ getRun, listActions: runs.listActions.bind(runs) }, id);
    expect(written.body.markup).toContain("&lt;b&gt;task&lt;/b&gt;");
    expect(written.body.markup).not.toContain("<b>task</b>");
    const browser = newBrowser();
    const page = await browser.signIn(await browser.open(runUrl), email, password);
    expect(page.body).toContain("task 1");
    expect(page.body).not.toContain("<script");
    expect(page.headers["content-security-policy"]).toMatch(/^default-src 'none';.*frame-ancestors 'none'/);
    expect(page.headers["cache-control"]).toBe("no-store");
  });

  test("keeps its cookies from scripts, other hosts and plaintext", async () => {
    const answer = await fetchPage(plane.rootPem, "GET", runUrl);
    expect(answer.status).toBe(303);
    for (const cookie of answer.headers["set-cookie"] ?? []) {
      expect(cookie).toMatch(/^__Host-.*Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    }
  });

  test("does not finish a sign-in that another browser began", async () => {
    const { router } = plane.config.addresses;
    const stranger = newBrowser();
    await stranger.open(runUrl);
    const answer = await stranger.open(`${router}/v2/callback?code=x&state=guessed`);
    expect(answer.status).toBe(400);
    expect(stranger.cookieNames).not.toContain("__Host-biplane-pages");
  });

  test("of a run that does not exist says so to people who are signed in only", async () => {
    const missing = runUrl.replace(runName, "rmissing");
    const browser = newBrowser();
    const page = await browser.signIn(await browser.open(missing), email, password);
    expect(page.status).toBe(404);
    expect((await fetchPage(plane.rootPem, "GET", missing)).status).toBe(303);
  });
});
