/** The command line against a whole system: what people type, what they read, and with which code it ends. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type System, startSystem } from "./system.ts";

const root = resolve(import.meta.dirname, "../..");
const workflow = resolve(import.meta.dirname, "workflows/cli.ts");
const launcher = join(root, "clients/cli/bin/biplane.mjs");

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

let system: System;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "biplane-cli-"));
  system = await startSystem();
  const { id, secret } = system.client;
  const signedIn = await run(
    ["login", "--profile", system.profilePath, "--client-id", id, "--project", "flights"],
    {
      BIPLANE_CLIENT_SECRET: secret,
    },
  );
  expect(signedIn).toMatchObject({ code: 0 });
  const made = await biplane("create", "project", "flights");
  expect([0, 7]).toContain(made.code);
});
afterAll(() => system?.close());

function run(words: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [launcher, ...words], {
    env: { ...process.env, BIPLANE_CONFIG_DIR: join(folder, "config"), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
  });
  return new Promise((done) => child.once("close", (code) => done({ code: code ?? -1, output, errors })));
}

const biplane = (...words: string[]) => run(words);

async function json<T>(...words: string[]): Promise<T> {
  const { code, output, errors } = await biplane(...words, "-o", "json");
  if (code !== 0) throw new Error(`biplane ${words.join(" ")} ended with ${code}: ${errors}`);
  return JSON.parse(output) as T;
}

describe("a run of a local module", () => {
  let name: string;

  test("takes its inputs as options made from the task's schema, and prints its output", async () => {
    const words = [
      "run",
      workflow,
      "greet",
      "--wait",
      "--names",
      "Ada",
      "--names",
      "Bob",
      "--loud",
      "--times",
      "2",
    ];
    const ended = await biplane(...words, "--since", "1815-12-10", "--salute", "goodbye", "--pause", "10ms");
    expect(ended).toMatchObject({ code: 0 });
    const line = (who: string) => `GOODBYE ${who} SINCE 1815`;
    expect(JSON.parse(ended.output)).toEqual([line("ADA"), line("ADA"), line("BOB"), line("BOB")]);
    name = /^Run (\S+)/m.exec(ended.errors)?.[1] ?? "";
  });

  test("is listed, shown and known to the control plane by name, phase and time", async () => {
    const listed = await json<{ run: string; phase: string; task: string }[]>("get", "run");
    expect(listed).toContainEqual(
      expect.objectContaining({ run: name, phase: "succeeded", task: "cli.greet" }),
    );
    const known = await json<Record<string, string>>("get", "run", name, "--from", "control-plane");
    expect(known).toMatchObject({ run: name, phase: "succeeded", actions: "1 succeeded" });
    expect(JSON.stringify(known)).not.toContain("Ada");
    const [action] = await json<{ action: string }[]>("get", "action", name);
    expect(action?.action).toBe("a0");
  });

  test("shows its inputs, outputs, log and report", async () => {
    const io = parse((await biplane("io", name)).output) as { inputs: object; outputs: object };
    expect(io.inputs).toMatchObject({ names: ["Ada", "Bob"], times: 2, loud: true, salute: "goodbye" });
    expect(Object.keys(io.outputs)).toEqual(["o0"]);
    expect((await biplane("logs", "-f", name)).output).toContain("greeting 2 people");
    const path = join(folder, "report.html");
    expect(await biplane("open", name, "--save", path)).toMatchObject({ code: 0 });
    expect(readFileSync(path, "utf8")).toBe("<h1>Ada, Bob</h1>");
  });

  test("left its traces in the border ledger, without its data", async () => {
    const { output, code } = await biplane("border", "--run", name);
    expect(code).toBe(0);
    expect(output).toContain(name);
    expect(output).not.toMatch(/Ada|Bob/);
  });
});

test("local files become inputs, and stored ones outputs", async () => {
  const path = join(folder, "data.bin");
  writeFileSync(path, Buffer.alloc(100_000, 7));
  const ended = await biplane("run", workflow, "measure", "--source", path, "--wait");
  expect(JSON.parse(ended.output)).toMatchObject({ bytes: 100_000, empty: null });
});

test("a failed run ends with 6 and shows the error", async () => {
  const ended = await biplane("run", workflow, "fail", "--wait");
  expect(ended.code).toBe(6);
  expect(ended.errors).toContain("it can't be done");
  const frames = ended.errors.split("\n").filter((line) => /^\s+at /.test(line));
  expect(frames, "only the task's own, by its file's name").toEqual([
    expect.stringMatching(/ \(cli\.ts:\d+:\d+\)$/),
  ]);
});

test("lists are by phase on demand, and say when there is more", async () => {
  const failed = await json<{ phase: string }[]>("get", "run", "--phase", "failed");
  expect(new Set(failed.map((one) => one.phase))).toEqual(new Set(["failed"]));
  expect((await json<object[]>("get", "run")).length).toBeGreaterThan(failed.length);
  expect((await biplane("get", "run", "--limit", "1")).errors).toContain("more than these 1");
  const none = await biplane("get", "run", "--phase", "timed-out");
  expect(none).toMatchObject({ code: 0, output: "" });
  expect(none.errors).toContain("No runs that are timed-out");
});

test("a deployed task runs by its name", async () => {
  expect(await biplane("deploy", workflow)).toMatchObject({ code: 0 });
  const tasks = await json<{ task: string }[]>("get", "task");
  expect(tasks.map((one) => one.task)).toContain("cli.greet");
  const ended = await biplane("run", "cli.greet", "--names", "Eve", "--wait");
  expect(JSON.parse(ended.output)).toEqual(["hello Eve"]);
});

test("a run is aborted with all it started, once", async () => {
  const { run: name } = await json<{ run: string }>("run", workflow, "sleep");
  expect(await biplane("abort", name, "--reason", "enough")).toMatchObject({ code: 0 });
  expect(await json("get", "run", name)).toMatchObject({ phase: "aborted", abort: "enough" });
  const again = await biplane("abort", name);
  expect(again.code).toBe(7);
  expect(again.errors).toContain("It had ended before: aborted.");
});

test("Ctrl-C leaves the run going, and tells its name", async () => {
  const child = spawn(process.execPath, [launcher, "run", workflow, "sleep", "--wait"], {
    env: { ...process.env, BIPLANE_CONFIG_DIR: join(folder, "config") },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
    if (!child.killed && /^Run \S+ /m.test(errors)) child.kill("SIGINT");
  });
  expect(await new Promise((done) => child.once("close", done))).toBe(130);
  const name = /The run goes on: biplane get run (\S+),/.exec(errors)?.[1] ?? "";
  expect(errors).toContain(`Run ${name} `);
  expect(await biplane("abort", name)).toMatchObject({ code: 0 });
});

test("audit records stand in columns that have titles, and are a list in YAML", async () => {
  const shown = await biplane("audit", "query", "--code", "PROJECT_CREATED");
  const [titles = "", first = ""] = shown.output.split("\n");
  for (const [title, value] of [
    ["TIME", /^\d{4}-\d\d-\d\dT/],
    ["CODE", /^PROJECT_CREATED /],
    ["RESOURCE", /^flights /],
  ] as const) {
    expect(first.slice(titles.indexOf(title)), title).toMatch(value);
  }
  const asYaml = parse((await biplane("audit", "query", "--code", "PROJECT_CREATED", "-o", "yaml")).output);
  expect(asYaml).toContainEqual(expect.objectContaining({ code: "PROJECT_CREATED", project: "flights" }));
  const none = await biplane("audit", "query", "--subject", "nobody");
  expect(none).toEqual({ code: 0, output: "", errors: "No records fit.\n" });
});

test("an action that printed nothing is told from one whose lines are shown", async () => {
  const { run: name } = await json<{ run: string }>("run", workflow, "fail");
  const { code, output, errors } = await biplane("logs", "-f", name);
  expect({ code, output }).toEqual({ code: 0, output: "" });
  expect(errors).toContain("No lines of attempt 1 of a0: it printed none");
});

describe("a run that is tried three times", () => {
  const linesOf = (...attempts: number[]) => attempts.map((attempt) => `line of ${attempt}`);
  const printed = (text: string) => text.split("\n").filter((line) => line.startsWith("line of"));
  let name: string;

  test("shows the log of each attempt as it comes, and why there is a next one", async () => {
    const { code, output, errors } = await biplane("run", workflow, "retry", "--follow");
    expect({ code, output }).toEqual({ code: 0, output: "3\n" });
    expect(printed(errors)).toEqual(linesOf(1, 2, 3));
    expect(errors).toContain("[biplane] Attempt 1 failed, attempt 2 follows. Error: no luck in 1\n");
    name = /^Run (\S+)/m.exec(errors)?.[1] ?? "";
  });

  test("shows the newest attempt's afterwards, any other on demand, and all of them to programs", async () => {
    const newest = await biplane("logs", name);
    expect(printed(newest.output)).toEqual(linesOf(3));
    expect(newest.errors).toContain("--attempt 1 to 2");
    expect(printed((await biplane("logs", "-f", name)).output)).toEqual(linesOf(3));
    expect((await biplane("logs", name, "--attempt", "2")).output).toBe("line of 2\n");
    const asJson = await biplane("logs", name, "--attempt", "2", "-o", "json");
    expect(JSON.parse(asJson.output)).toMatchObject({ attempt: 2, text: "line of 2", originator: "user" });
    const lines = [];
    for await (const { attempt, text, originator } of (await system.connect()).getRun(name).logs()) {
      if (originator === "user") lines.push({ attempt, text });
    }
    expect(lines).toEqual([1, 2, 3].map((attempt) => ({ attempt, text: `line of ${attempt}` })));
  });
});

test("a domain that a project lacks takes no runs and no tasks, whatever client asks", async () => {
  const elsewhere = { BIPLANE_DOMAIN: "nowhere" };
  for (const words of [
    ["run", workflow, "greet", "--names", "a"],
    ["deploy", workflow],
    ["get", "run"],
    ["get", "task"],
    ["get", "run", "--from", "control-plane"],
  ]) {
    const ended = await run(words, elsewhere);
    expect(ended.code, words.join(" ")).toBe(3);
    expect(ended.errors).toContain("Project flights has no domain nowhere.");
  }
});

test.for([
  ["does not parse", "export const a =\n  1 +;", ':2:6: Unexpected ";"   1 +;'],
  ["imports what is not there", 'import "left-out";', "Install the package"],
  ["throws on import", "export const a = 1;\nthrow new Error('no luck');", "no luck (throws.ts:2:7)"],
  ["exports no task", "export const a = 1;", "Export what task(…) returns."],
  [
    "gives two tasks a name",
    'export const a = task({ name: "x" }, () => {}), b = task({ name: "x" }, () => {});',
    "The tasks a and b are both named x.",
  ],
  [
    "has a value that can't cross",
    "export const a = task({ output: z.map(z.int(), z.int()) }, () => {});",
    "Task a: ",
  ],
] as const)("a module that %s is refused with the place and the reason", async ([what, text, reason]) => {
  const path = join(folder, `${what.split(" ")[0]}.ts`);
  writeFileSync(path, `import { task, z } from "@biplane/sdk"; ${text}`);
  for (const command of ["run", "deploy"]) {
    const { code, output, errors } = await biplane(command, path);
    expect({ code, output }).toEqual({ code: 2, output: "" });
    expect(errors).toContain(reason);
  }
});

test.for([
  ["an unknown command", ["gte"], 2, "get"],
  ["an unknown task of a module", ["run", workflow, "nothing"], 3, "fail, greet, measure, retry, sleep"],
  ["a missing input", ["run", workflow, "greet"], 2, "--names"],
  ["a wrong choice", ["run", workflow, "greet", "--names", "a", "--salute", "hey"], 2, "hello, goodbye"],
  ["a wrong number", ["run", workflow, "greet", "--names", "a", "--times", "two"], 2, "integer"],
  ["an unknown run", ["get", "run", "r-nobody-started"], 3, ""],
  ["an unknown deployed task", ["run", "cli.nothing"], 3, "biplane get task"],
  ["an unknown project", ["get", "run", "-p", "nowhere"], 3, "biplane create project nowhere"],
  ["an unknown project's tasks", ["get", "task", "-p", "nowhere"], 3, "biplane get project"],
  [
    "a role in an unknown project",
    ["create", "assignment", "--user", "x", "--role", "Viewer", "-p", "nowhere"],
    3,
    "biplane get project",
  ],
  [
    "an unknown project in the index",
    ["get", "run", "-p", "nowhere", "--from", "control-plane"],
    3,
    "biplane get project",
  ],
  ["an unknown domain", ["get", "run", "-d", "nowhere"], 2, "development, staging, production"],
  [
    "a profile's unknown domain",
    ["config", "set", "domain", "nowhere"],
    2,
    "development, staging, production",
  ],
  ["a task that was never deployed", ["get", "task", "cli.nothing"], 3, "biplane deploy"],
  ["a task the index lacks", ["get", "task", "cli.nothing", "--from", "control-plane"], 3, "biplane deploy"],
  ["an unknown key", ["keys", "rotate", "costumer"], 3, "customer"],
  ["a key for an unknown project", ["keys", "assign", "nowhere", "k2"], 3, "biplane get project"],
  ["a file that is no profile", ["config", "add", "x", workflow], 2, "It is no JSON."],
  ["a resource of an audit record", ["audit", "query", "--resource", "a/b/c/d"], 2, "project/domain/run"],
  [
    "an unknown option of the control plane",
    ["control", "start", "--nope"],
    2,
    "Unknown option '--nope'. (--help",
  ],
  ["an unknown option of the edge", ["edge", "--nope"], 2, "Unknown option '--nope'. (--help"],
  ["an unknown option of the data plane", ["data", "start", "--nope"], 2, "Unknown option '--nope'. (--help"],
  ["a taken name", ["create", "project", "flights"], 7, "flights"],
  ["an unknown profile", ["whoami", "--profile", "nobody"], 3, "biplane login"],
] as const)("%s ends with its code and says what to do", async ([, words, code, hint]) => {
  const ended = await biplane(...words);
  expect(ended.code).toBe(code);
  expect(ended.errors).toContain(hint);
});

test("a wrong client secret ends with 4, and nothing is remembered in its place", async () => {
  const words = [
    "login",
    "--profile",
    system.profilePath,
    "--name",
    "other",
    "--client-id",
    system.client.id,
  ];
  const ended = await run(words, { BIPLANE_CLIENT_SECRET: "wrong" });
  expect(ended.code).toBe(4);
  const credentials = readFileSync(join(folder, "config/credentials.json"), "utf8");
  expect(Object.keys(JSON.parse(credentials) as object)).toEqual(["acme"]);
});

test("credentials lie in a file that only their owner reads", () => {
  expect(statSync(join(folder, "config/credentials.json")).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "config")).mode & 0o777).toBe(0o700);
});

test("clusters are shown with fingerprints that both sides agree on, each from its own knowledge (claim TLS-4)", async () => {
  type Row = Record<"cluster" | "root" | "intermediate" | "certificate", string>;
  const [listed] = await json<Row[]>("get", "cluster");
  const [known] = await json<Row[]>("get", "cluster", "--from", "control-plane");
  expect(listed).toMatchObject({ cluster: "home" });
  for (const name of ["root", "intermediate", "certificate"] as const) {
    expect(listed?.[name], name).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(known).toMatchObject({ root: listed?.root, intermediate: listed?.intermediate });
});

test("a router whose certificate the profile does not trust is refused", async () => {
  const profile = JSON.parse(readFileSync(system.profilePath, "utf8")) as Record<string, string>;
  const { createRootAuthority } = await import("@biplane/kit/certificates");
  const stranger = await createRootAuthority("stranger", 3_600_000);
  const path = join(folder, "stranger.json");
  writeFileSync(path, JSON.stringify({ ...profile, rootPem: stranger.certificatePem }));
  const ended = await run(["whoami", "--profile", path], {
    BIPLANE_CLIENT_ID: system.client.id,
    BIPLANE_CLIENT_SECRET: system.client.secret,
  });
  expect(ended.code).toBe(4);
  expect(ended.errors).toContain("does not trust");
});

test("everything is there as JSON and YAML too", async () => {
  const asJson = await json<object[]>("get", "project");
  const asYaml = parse((await biplane("get", "project", "-o", "yaml")).output) as object[];
  expect(asYaml).toEqual(asJson);
});
