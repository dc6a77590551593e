/**
 * Everything runs with the most that any log level and any library's debugging tells, and is given data and credentials of
 * every kind, good ones and bad ones: none of them is in any process's log (claim TLS-5).
 */
import { createHash } from "node:crypto";
import { createWriteStream, readdirSync, readFileSync, statSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { flyte, identity } from "@biplane/data-wire";
import { createLogger } from "@biplane/kit/logging";
import { plant } from "@biplane/verify/scenes/planted-run";
import { Canaries } from "@biplane/verify/search/canary";
import { type Needle, Needles } from "@biplane/verify/search/needles";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requestToken } from "./sign-in.ts";
import { domain, org, project, type System, startSystem } from "./system.ts";

const talkative = { LOG_LEVEL: "trace", DEBUG: "*" };
/** What a stranger or a careless program shows, at each of its places. */
const shown = new Canaries();

let system: System;
let data: Canaries;
let credentials: readonly Needle[];

beforeAll(async () => {
  const environmentOf = { control: talkative, edge: talkative, data: talkative };
  system = await startSystem({ environmentOf });
  const planted = await plant(await system.connect(), system.folder, AbortSignal.timeout(200_000));
  data = planted.secret;
  credentials = [...(await usedCredentials()), ...keysOnDisk()];
  await showEverywhere();
  await system.control.stop();
  await askWhileAway();
}, 300_000);
afterAll(() => system?.close());

/** Credentials that were made and have worked. */
async function usedCredentials(): Promise<Needle[]> {
  const { profile, client } = system;
  const proxy = createClient(flyte.dataproxy.DataProxyService, system.transport());
  const location = await proxy.createUploadLocation({
    org,
    project,
    domain,
    filename: "f.txt",
    contentLength: 5n,
    contentMd5: createHash("md5").update("hello").digest(),
  });
  const headers = { ...location.headers, "content-md5": createHash("md5").update("hello").digest("base64") };
  expect(await send("PUT", location.signedUrl, headers, "hello")).toBe(200);
  const keys = createClient(identity.ApiKeyService, system.transport());
  const expiresAt = timestampFromMs(Date.now() + 3_600_000);
  const key = await keys.createApiKey({ name: shown.plant("keyname"), role: "Viewer", expiresAt });
  const token = await requestToken(profile, { id: key.key!.id, secret: key.secret });
  const people = createClient(identity.UserService, system.transport());
  const person = { email: `${shown.plant("mail")}@example.com`, name: shown.plant("person"), role: "Viewer" };
  const { invitation } = await people.createUser(person);
  return [
    { name: "a client's secret", text: client.secret },
    { name: "an access token's signature", text: (await system.token()).split(".").at(-1)! },
    { name: "an API key", text: key.secret },
    { name: "an API key's token", text: token.split(".").at(-1)! },
    { name: "an invitation", text: invitation!.code },
    { name: "a signed URL", text: new URL(location.signedUrl).searchParams.get("X-Amz-Signature")! },
  ];
}

/** What the planes' keys are on disk, as far as they are text; PEM by its lines. */
function keysOnDisk(): Needle[] {
  const found = ["control", "edge", "data"].flatMap((state) =>
    readdirSync(join(system.folder, state), { recursive: true })
      .map((name) => join(system.folder, state, String(name)))
      .filter((path) => /key/i.test(path) && statSync(path).isFile())
      .flatMap((path) =>
        readFileSync(path, "latin1")
          .split(/\s+/)
          .filter((line) => /^[A-Za-z0-9+/=_-]{40,}$/.test(line))
          .map((text) => ({ name: path, text })),
      ),
  );
  expect(found.length, "keys on disk").toBeGreaterThan(2);
  return found;
}

function send(
  method: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  body = "",
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, ca: system.profile.rootPem }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** Where a credential or data may stand in a request; each is refused, and refusals are what gets logged. */
async function showEverywhere(): Promise<void> {
  const { router, authority, objects } = system.profile;
  const method = "/flyteidl2.workflow.RunService/ListRuns";
  const signed = `${objects}/bucket/${shown.plant("key")}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=${shown.plant("signature")}`;
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const proto = { "content-type": "application/proto" };
  const calls: readonly (readonly [string, string, Record<string, string>, string?])[] = [
    ["POST", `${router}${method}`, { ...proto, authorization: `Bearer ${shown.plant("token")}` }],
    ["POST", `${router}${method}`, { ...proto, authorization: `Basic ${shown.plant("basic")}` }],
    ["POST", `${router}${method}`, { ...proto, cookie: `session=${shown.plant("cookie")}` }],
    ["POST", `${router}${method}`, { ...proto, "x-request-id": shown.plant("header") }, shown.plant("body")],
    ["POST", `${router}/${shown.plant("method")}`, proto],
    [
      "GET",
      `${router}/${shown.plant("page")}?${shown.plant("query")}=1`,
      { cookie: shown.plant("pagecookie") },
    ],
    ["GET", signed, {}],
    ["PUT", signed, {}, shown.plant("object")],
    ["POST", `${authority}/token`, form, `grant_type=refresh_token&refresh_token=${shown.plant("refresh")}`],
    ["POST", `${authority}/token`, form, `grant_type=authorization_code&code=${shown.plant("code")}`],
    [
      "POST",
      `${authority}/token`,
      { ...form, authorization: `Basic ${shown.plant("clientsecret")}` },
      "grant_type=client_credentials",
    ],
    [
      "POST",
      `${authority}/claim`,
      { "content-type": "application/json" },
      JSON.stringify({ claim: shown.plant("claim") }),
    ],
    ["GET", `${authority}/auth?client_id=${shown.plant("clientid")}&state=${shown.plant("state")}`, {}],
    [
      "GET",
      `${authority}/interaction/${shown.plant("interaction")}`,
      { cookie: `_session=${shown.plant("session")}` },
    ],
    ["POST", `${authority}/token/revocation`, form, `token=${shown.plant("revoked")}`],
  ];
  const statuses = [];
  for (const [verb, url, headers, body] of calls) statuses.push(await send(verb, url, headers, body));
  expect(statuses.filter((status) => status !== undefined && status >= 400).length).toBeGreaterThan(10);
  await submitWithNames();
}

/** Data where a name belongs, which the error then quotes to whoever sent it. */
async function submitWithNames(): Promise<void> {
  const runs = createClient(flyte.workflow.RunService, system.transport());
  const id = { org, project, domain, name: `${shown.plant("taskname")}\n`, version: shown.plant("version") };
  const spec = create(flyte.task.TaskSpecSchema, { taskTemplate: { id, type: "typescript" } });
  const projectId = { organization: org, domain, name: project };
  const submitted = runs.createRun({
    id: { case: "projectId", value: projectId },
    task: { case: "taskSpec", value: spec },
    inputWrapper: { case: undefined },
  });
  await expect(submitted).rejects.toThrow();
  await expect(
    runs.getRunDetails({ runId: { org, project, domain, name: shown.plant("runname") } }),
  ).rejects.toThrow();
}

/** The link's failures are logged, and calls that need it. */
async function askWhileAway(): Promise<void> {
  const projects = createClient(flyte.project.ProjectService, system.transport());
  const asked = projects.createProject({ project: { id: "other", org, name: shown.plant("display") } });
  await expect(asked).rejects.toThrow();
}

const logs = () =>
  ["control", "edge", "data"].map((name) => readFileSync(join(system.folder, `${name}.log`)));

test("no data, given by a workflow or by a stranger, is in any log", () => {
  for (const [index, log] of logs().entries()) {
    expect(log.length, `log ${index}`).toBeGreaterThan(100);
    expect(data.search(log, `log ${index}`)).toEqual([]);
    expect(shown.search(log, `log ${index}`)).toEqual([]);
  }
});

test("no credential that worked is in any log, and nothing that looks like one", () => {
  const needles = new Needles(credentials);
  const looksLike = [
    /eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\./,
    /X-Amz-(Signature|Credential|Security-Token)=/i,
    /(Bearer|Basic) [A-Za-z0-9._~+/-]{8,}/,
    /-----BEGIN/,
    /set-cookie/i,
  ];
  for (const [index, log] of logs().entries()) {
    expect(needles.search(log, `log ${index}`)).toEqual([]);
    for (const pattern of looksLike) expect(log.toString("latin1")).not.toMatch(pattern);
  }
});

test("control: the refusals were logged, and the same searches find what is planted in a line", async () => {
  const events = ["listening", "connector_ready", "link_connected"];
  for (const [index, log] of logs().entries()) expect(log.toString()).toContain(events[index]);
  const path = join(system.folder, "planted.log");
  const destination = createWriteStream(path);
  const log = createLogger({ component: "planted", destination });
  const [secret] = credentials;
  log.info(
    { event: "planted", reason: `${data.plant("planted")} ${secret!.text}` },
    "a field that is let through",
  );
  const dropped = { event: "planted", inputs: shown.plant("dropped") };
  log.info(dropped, "a field that the register lacks");
  await new Promise((resolve) => destination.end(resolve));
  const line = readFileSync(path);
  expect(data.search(line, path)).toMatchObject([{ kind: "planted" }]);
  expect(new Needles(credentials).search(line, path)).toMatchObject([{ kind: secret!.name }]);
  expect(shown.search(line, path)).toEqual([]);
});
