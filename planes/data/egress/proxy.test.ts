import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:https";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type AttemptId, day } from "@biplane/base";
import type { AuditInput } from "@biplane/kit/audit-log";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { createLogger } from "@biplane/kit/logging";
import type { TlsIdentity } from "@biplane/kit/tls";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { parseAllowedHost } from "./allowed-hosts.ts";
import { TaskEgress } from "./proxy.ts";

const attempt = {
  org: "acme",
  project: "flights",
  domain: "development",
  run: "r1",
  action: "a0",
  attempt: 1,
};

let authority: TlsIdentity;
let identity: TlsIdentity;
let folder: string;
let path: string;
let inside: AttemptId | undefined;
let egress: TaskEgress;
let entrance: { close(): void };
let host: Server;
let port: number;
let allowed: string[];
let resolve: (name: string) => Promise<readonly string[]>;
let recorded: AuditInput[];
let dialled: string[];

beforeAll(async () => {
  authority = await createRootAuthority("test", day);
  const uses = ["server"] as const;
  identity = await issueCertificate(authority, {
    commonName: "localhost",
    hosts: ["localhost"],
    uses,
    lifetimeMs: day,
  });
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "egress-"));
  path = join(folder, "egress.sock");
  inside = attempt as AttemptId;
  host = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => {}).pipe(socket)).listen(
    0,
    "127.0.0.1",
  );
  await once(host, "listening");
  ({ port } = host.address() as AddressInfo);
  allowed = [`api.example.com:${port}`, `127.0.0.1:${port}`];
  resolve = async () => ["127.0.0.1"];
  recorded = [];
  dialled = [];
  egress = new TaskEgress({
    hostsOf: (project) => (project === "flights" ? allowed.map(parseAllowedHost) : []),
    resolve: (name) => resolve(name),
    connect: (address, at) => {
      dialled.push(address);
      return new Socket({ allowHalfOpen: true }).connect(at, address);
    },
    record: async (input) => void recorded.push(input),
    identity: () => identity,
    log: createLogger({ component: "test", level: "silent" }),
  });
  entrance = await egress.openSandbox(path, () => inside);
});
afterEach(async () => {
  entrance.close();
  host.close();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly socket: Socket;
}

function ask(target: string): Promise<Answer> {
  return new Promise((answer, fail) => {
    const options = { ca: authority.certificatePem, servername: "localhost", agent: false } as const;
    const outgoing = request({ ...options, socketPath: path, method: "CONNECT", path: target });
    outgoing.on("connect", ({ statusCode = 0, statusMessage = "" }, socket) => {
      socket.setMaxListeners(32).on("error", () => {});
      answer({ status: statusCode, reason: statusMessage, socket });
    });
    outgoing.on("error", fail);
    outgoing.end();
  });
}

async function raw(bytes: string): Promise<string> {
  const socket: TLSSocket = connectTls({ path, ca: authority.certificatePem, servername: "localhost" });
  socket.write(bytes);
  const [first] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return first.toString("latin1").split("\r\n")[0] ?? "";
}

const api = () => `api.example.com:${port}`;

test("bytes go through both ways, and the host's end is the task's", async () => {
  const { status, socket } = await ask(api());
  expect(status).toBe(200);
  const sent = Buffer.alloc(3_000_000, "x");
  let received = 0;
  socket.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  socket.end(sent);
  await once(socket, "end");
  expect(received).toBe(sent.length);
  expect(recorded).toMatchObject([
    { code: "TASK_EGRESS", decision: "allowed", subject: "task:flights/development/r1/a0/1", address: api() },
  ]);
});

test("a name is asked for once, and dialled at the address that was judged: it can't be rebound (claim RES-4)", async () => {
  let asked = 0;
  resolve = async () => [++asked === 1 ? "127.0.0.1" : "169.254.169.254"];
  expect((await ask(api())).status).toBe(200);
  expect([asked, dialled]).toEqual([1, ["127.0.0.1"]]);
  // The second time it leads to the metadata service.
  expect(await ask(api())).toMatchObject({ status: 403, reason: "address_not_allowed" });
  expect(dialled).toEqual(["127.0.0.1"]);
});

test("of a name's addresses only those that may be dialled are", async () => {
  resolve = async () => ["169.254.169.254", "10.0.0.1", "::ffff:169.254.169.254", "fe80::1", "127.0.0.1"];
  expect((await ask(api())).status).toBe(200);
  expect(dialled).toEqual(["127.0.0.1"]);
  for (const address of ["169.254.169.254", "10.0.0.1", "::1", "fd00:ec2::254", "0.0.0.0"]) {
    resolve = async () => [address];
    expect(await ask(api())).toMatchObject({ status: 403, reason: "address_not_allowed" });
  }
  expect(dialled).toEqual(["127.0.0.1"]);
});

test("what is not allowed is not even looked up, and is recorded", async () => {
  resolve = () => Promise.reject(new Error("was asked for"));
  expect(await ask("secret-in-a-name.evil.example:443")).toMatchObject({
    status: 403,
    reason: "host_not_allowed",
  });
  expect(await ask(api())).toMatchObject({ status: 502, reason: "host_unresolved" });
  expect(recorded.map(({ decision, reason }) => [decision, reason])).toEqual([
    ["denied", "host_not_allowed"],
    ["refused", "host_unresolved"],
  ]);
});

test("nobody, another project and what can't be read get nothing", async () => {
  inside = undefined;
  expect(await ask(api())).toMatchObject({ status: 409, reason: "no_task" });
  inside = { ...attempt, project: "other" } as AttemptId;
  expect(await ask(api())).toMatchObject({ status: 403, reason: "host_not_allowed" });
  inside = attempt as AttemptId;
  for (const target of ["nonsense", "api.example.com", "2130706433:80", "a b:80"]) {
    expect(await raw(`CONNECT ${target} HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
  }
  expect(await raw(`CONNECT ${"a.".repeat(10_000)}:80 HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(/ 400 /);
  expect(await raw(`GET http://${api()}/ HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(/ 405 /);
  expect(dialled).toEqual([]);
  expect(recorded).toHaveLength(8);
  expect(recorded.every(({ decision }) => decision === "denied" || decision === "refused")).toBe(true);
});

test("what can't be recorded does not happen", async () => {
  const failing = join(folder, "failing.sock");
  const unrecorded = new TaskEgress({
    hostsOf: () => allowed.map(parseAllowedHost),
    resolve: (name) => resolve(name),
    connect: (address, at) => {
      dialled.push(address);
      return new Socket().connect(at, address);
    },
    record: () => Promise.reject(new Error("the disk is full")),
    identity: () => identity,
    log: createLogger({ component: "test", level: "silent" }),
  });
  const opened = await unrecorded.openSandbox(failing, () => inside);
  path = failing;
  await expect(ask(api())).rejects.toThrow();
  expect(dialled).toEqual([]);
  opened.close();
});

test("a sandbox has so many connections at once and no more; one that ends makes room", async () => {
  const open = await Promise.all(Array.from({ length: 64 }, () => ask(api())));
  expect(new Set(open.map(({ status }) => status))).toEqual(new Set([200]));
  expect(await ask(api())).toMatchObject({ status: 429, reason: "too_many_connections" });
  open[0]!.socket.end();
  await once(open[0]!.socket.resume(), "close");
  await expect.poll(async () => (await ask(api())).status).toBe(200);
  for (const { socket } of open) socket.destroy();
});

test("what is withdrawn ends, and what stays allowed goes on", async () => {
  allowed.push(`other.example.com:${port}`);
  const [first, second] = [await ask(api()), await ask(`other.example.com:${port}`)];
  allowed = allowed.filter((one) => !one.startsWith("api"));
  egress.review();
  await once(first.socket.resume(), "close");
  second.socket.write("still there");
  const [answer] = (await once(second.socket, "data")) as [Buffer];
  expect(answer.toString()).toBe("still there");
  second.socket.destroy();
});

test("a host that does not answer is said to be unreachable", async () => {
  host.close();
  expect(await ask(api())).toMatchObject({ status: 502, reason: "host_unreachable" });
});
