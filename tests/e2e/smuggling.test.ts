/**
 * Requests that two readers could understand differently, or that cost more than they are worth, sent byte by byte
 * through the edge to the router, the authority and the object store of a live system (claims NET-1, TRUST-1).
 */
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { gzipSync } from "node:zlib";
import { audit, flyte } from "@biplane/data-wire";
import { residentBytes } from "@biplane/verify/search/process-memory";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  endHeaders,
  endStream,
  exchange,
  type Fields,
  fieldBlock,
  frame,
  framesIn,
  frameTypes,
  headersFrame,
  http2StatusesIn,
  openRaw,
  preface,
  type RawTarget,
  statusesIn,
} from "../support/raw-http.ts";
import { type System, startSystem } from "./system.ts";

const whoAmI = "/flyteidl2.auth.IdentityService/UserInfo";
const listProjects = "/flyteidl2.project.ProjectService/ListProjects";
const anonymous = "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata";
const services = ["router", "authority", "objects"] as const;
const MiB = 1024 * 1024;

let system: System;
let token: string;

beforeAll(async () => {
  system = await startSystem();
  token = await system.token();
});
afterAll(() => system?.close());
/** Whatever was tried, honest clients go on. */
afterEach(async () => {
  const { subject } = await createClient(flyte.auth.IdentityService, system.transport()).userInfo({});
  expect(subject).toBe(system.client.id);
});

function target(service: (typeof services)[number]): RawTarget {
  return { port: system.ports[service], rootPem: system.profile.rootPem };
}
const hostOf = (service: (typeof services)[number]) => `localhost:${system.ports[service]}`;
const bytes = (...lines: string[]) => Buffer.from(lines.join("\r\n"), "latin1");

describe("framing over HTTP/1.1", () => {
  /** If the first request's end is misunderstood, this one is answered too. */
  const second = ["GET /healthz HTTP/1.1", "Host: HOST", "", ""];
  const attacks: Readonly<Record<string, readonly string[]>> = {
    "two lengths that differ": ["Content-Length: 5", "Content-Length: 6", "", "abcde"],
    "a list of lengths": ["Content-Length: 5, 5", "", "abcde"],
    "a length and chunks": ["Content-Length: 5", "Transfer-Encoding: chunked", "", "0", "", ""],
    "chunks and a length": ["Transfer-Encoding: chunked", "Content-Length: 0", "", "0", "", ""],
    "a length with a sign": ["Content-Length: +5", "", "abcde"],
    "a negative length": ["Content-Length: -5", "", "abcde"],
    "a length in hexadecimal": ["Content-Length: 0x5", "", "abcde"],
    "a length without end": ["Content-Length: 99999999999999999999999", "", "abcde"],
    "a coding that is almost chunked": ["Transfer-Encoding: xchunked", "", "0", "", ""],
    "a coding after chunked": ["Transfer-Encoding: chunked, identity", "", "0", "", ""],
    "a coding that nobody undoes, and chunks": ["Transfer-Encoding: gzip, chunked", "", "0", "", ""],
    "two codings": ["Transfer-Encoding: identity", "Transfer-Encoding: chunked", "", "0", "", ""],
    "a coding behind a vertical tab": ["Transfer-Encoding:\x0bchunked", "", "0", "", ""],
    "a chunk size that overflows": ["Transfer-Encoding: chunked", "", "fffffffffffffffff", "", ""],
    "a negative chunk size": ["Transfer-Encoding: chunked", "", "-1", "", "0", "", ""],
    "a chunk that is longer than it says": ["Transfer-Encoding: chunked", "", "1", "abcdef", "0", "", ""],
    "a space before the colon": ["Content-Length : 5", "", "abcde"],
    "a folded line": ["X-Folded: a", " Content-Length: 5", "", "abcde"],
    "a bare line feed": ["X-A: b\nContent-Length: 5", "", "abcde"],
    "a bare carriage return": ["X-A: b\rContent-Length: 5", "", "abcde"],
    "a NUL in a name": ["X-\0A: b", "", ""],
    "a NUL in a value": ["X-A: b\0c", "", ""],
    "an empty name": [": a", "", ""],
    "no name at all": ["garbage", "", ""],
  };

  const send = (service: (typeof services)[number], lines: readonly string[]) =>
    exchange(
      target(service),
      "http/1.1",
      bytes(...lines.map((line) => line.replace("HOST", hostOf(service)))),
    );

  test.concurrent.each(["router", "authority"] as const)(
    "control: two honest requests on one connection to the %s are two answers",
    async (service) => {
      const first = ["GET /healthz HTTP/1.1", "Host: HOST", ""];
      const answer = await send(service, [...first, ...second]);
      expect(statusesIn(answer)).toHaveLength(2);
    },
  );

  test.concurrent.each(Object.keys(attacks))(
    "%s ends the connection, and nothing behind it is read",
    async (name) => {
      for (const service of services) {
        const path = service === "router" ? whoAmI : "/claim";
        const head = [`POST ${path} HTTP/1.1`, "Host: HOST", "Content-Type: application/proto"];
        const answer = await send(service, [...head, ...attacks[name]!, ...second]);
        expect(statusesIn(answer).length, service).toBeLessThanOrEqual(1);
        expect(statusesIn(answer), service).not.toContain(200);
        expect(answer.ended, service).toBe(true);
      }
    },
  );

  test.concurrent.each([
    ["no host", ["GET /healthz HTTP/1.1", "", ""]],
    ["two hosts", ["GET /healthz HTTP/1.1", "Host: HOST", "Host: evil.example", "", ""]],
    ["another host", ["GET /healthz HTTP/1.1", "Host: evil.example", "", ""]],
    ["another host's whole address", ["GET https://evil.example/healthz HTTP/1.1", "Host: HOST", "", ""]],
    ["the name with a user", ["GET /healthz HTTP/1.1", "Host: ada@HOST", "", ""]],
    ["a version that nobody speaks", ["GET /healthz HTTP/1.2", "Host: HOST", "", ""]],
    ["no version", ["GET /healthz", "", ""]],
    ["a tunnel", ["CONNECT 169.254.169.254:80 HTTP/1.1", "Host: HOST", "", ""]],
    [
      "an upgrade to h2c",
      ["GET /healthz HTTP/1.1", "Host: evil.example", "Upgrade: h2c", "Connection: Upgrade", "", ""],
    ],
  ] as const)("%s gets no health of router or authority", async (_, lines) => {
    for (const service of ["router", "authority"] as const) {
      expect(statusesIn(await send(service, lines)), service).not.toContain(200);
    }
  });

  test("a head that does not end is refused at its bound", async () => {
    for (const service of services) {
      const lines = Array.from({ length: 2_000 }, (_, index) => `X-${index}: ${"a".repeat(100)}`);
      const answer = await send(service, ["GET /healthz HTTP/1.1", "Host: HOST", ...lines, "", ""]);
      expect(statusesIn(answer), service).not.toContain(200);
      expect(answer.ended, service).toBe(true);
    }
  });
});

describe("paths and headers", () => {
  async function post(path: string, headers: Record<string, string>): Promise<number> {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const head = [`POST ${path} HTTP/1.1`, `Host: ${hostOf("router")}`, "Content-Type: application/proto"];
    const answer = await exchange(
      target("router"),
      "http/1.1",
      bytes(...head, ...lines, "Content-Length: 0", "Connection: close", "", ""),
    );
    return statusesIn(answer)[0] ?? 0;
  }
  const authorization = () => ({ Authorization: `Bearer ${token}` });

  test("control: the method by its own path, with a token and without", async () => {
    expect(await post(whoAmI, authorization())).toBe(200);
    expect(await post(whoAmI, {})).toBe(401);
    expect(await post(anonymous, {})).toBe(200);
  });

  test.concurrent.each([
    `/${whoAmI}`,
    `/.${whoAmI}`,
    `/x/..${whoAmI}`,
    `${whoAmI}/`,
    `${whoAmI}/.`,
    `${whoAmI};a=b`,
    `${whoAmI}%00`,
    whoAmI.replace("UserInfo", "%55serInfo"),
    whoAmI.replace(/\/UserInfo/, "%2fUserInfo"),
    whoAmI.replace(/\/UserInfo/, "\\UserInfo"),
    whoAmI.toUpperCase(),
    `https://localhost${whoAmI}`,
    `https://evil.example${whoAmI}`,
    "*",
    "/constructor",
    "/__proto__",
    `${anonymous}/..${whoAmI.replace("/flyteidl2.auth", "/../flyteidl2.auth")}`,
  ])("%s is no method, not even with a good token", async (path) => {
    expect([400, 404, 421, 501]).toContain(await post(path, authorization()));
  });

  test.concurrent.each<Record<string, string>>([
    { "X-HTTP-Method-Override": "GET" },
    { "X-Original-URL": anonymous },
    { "X-Rewrite-URL": anonymous },
    { "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", Forwarded: "for=127.0.0.1" },
    { "X-Forwarded-Client-Cert": "Hash=a;URI=urn:biplane:authority:acme" },
    { "X-Remote-User": "admin", "X-Forwarded-User": "admin", Cookie: "token=admin" },
    { "Proxy-Authorization": "Bearer TOKEN" },
    { Authorization: "Bearer" },
    { Authorization: "Bearer null" },
    { Authorization: "Basic YWRtaW46YWRtaW4=" },
  ])("%o makes nobody known", async (headers) => {
    const sent = Object.entries(headers).map(([name, value]) => [name, value.replace("TOKEN", token)]);
    expect(await post(whoAmI, Object.fromEntries(sent) as Record<string, string>)).toBe(401);
    expect(await post(`${whoAmI}?x=${anonymous}`, {})).toBe(401);
  });

  test.concurrent.each([
    "/audit/data/../../config.json",
    "/audit/data/%2e%2e/%2e%2e/config.json",
    "/audit/data/tile/0/..%2f..%2fconfig.json",
    "/audit/../audit/data/checkpoint",
    "/audit/constructor/checkpoint",
    "/v2/domain/%/project/x/runs/y",
    "/v2/domain/%2e%2e/project/..%2f..%2f/runs/%00",
    "/v2/domain/development/project/flights/runs/%0d%0aset-cookie:%20a=b",
    "/v2/callback?code=x&state=%0d%0a",
    "/style.css/../v2/callback",
    "/%5c..%5c..%5cetc/passwd",
    "/%",
  ])("no page is at %s, and none fails", async (path) => {
    const head = [`GET ${path} HTTP/1.1`, `Host: ${hostOf("router")}`, `Authorization: Bearer ${token}`];
    const answer = await exchange(target("router"), "http/1.1", bytes(...head, "Connection: close", "", ""));
    expect([400, 401, 403, 404]).toContain(statusesIn(answer)[0]);
    expect(answer.bytes.toString("latin1").toLowerCase()).not.toContain("\r\nset-cookie: a=b");
  });

  test("the address on record is the edge's, whatever a client says", async () => {
    const headers = { "X-Forwarded-For": "203.0.113.99", Forwarded: "for=203.0.113.99" };
    expect(await post(whoAmI, { ...headers, ...authorization() })).toBe(200);
    const records: string[] = [];
    const reader = createClient(audit.AuditService, system.transport());
    for await (const { record } of reader.readRecords({
      plane: audit.AuditPlane.DATA,
      codes: ["IDENTITY_READ"],
    })) {
      records.push(Buffer.from(record).toString("latin1"));
    }
    expect(records.length).toBeGreaterThan(0);
    expect(records.join()).toContain("127.0.0.1");
    expect(records.join()).not.toContain("203.0.113.99");
  });
});

test.each([
  "/biplane/%",
  "/biplane/../../etc/passwd",
  "/biplane/%2e%2e%2f%2e%2e%2fetc",
  "/%00",
  "/biplane/a?%",
])("the object store gives nothing for %s", async (path) => {
  const head = [`GET ${path} HTTP/1.1`, `Host: ${hostOf("objects")}`, "Connection: close"];
  const answer = await exchange(target("objects"), "http/1.1", bytes(...head, "", ""));
  expect([400, 403]).toContain(statusesIn(answer)[0]);
});

describe("frames of HTTP/2", () => {
  const honest = (): Fields => [
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", hostOf("router")],
    [":path", anonymous],
    ["content-type", "application/proto"],
  ];
  const changed = (name: string, value: string): Fields =>
    honest().map(([known, old]) => [known, known === name ? value : old] as const);
  const send = (fields: Fields) =>
    exchange(target("router"), "h2", Buffer.concat([preface, headersFrame(fields)]));

  test("control: the honest request is answered", async () => {
    expect(http2StatusesIn(await send(honest()))).toContain(200);
  });

  test.concurrent.each<readonly [string, () => Fields]>([
    ["another authority", () => changed(":authority", "evil.example")],
    ["another host beside the authority", () => [...honest(), ["host", "evil.example"]]],
    ["a user in the authority", () => changed(":authority", `ada@${hostOf("router")}`)],
    [
      "two authorities",
      () => [...honest().slice(0, 3), [":authority", "evil.example"], ...honest().slice(3)],
    ],
    ["two paths", () => [...honest().slice(0, 4), [":path", whoAmI], ...honest().slice(4)]],
    ["no path", () => honest().filter(([name]) => name !== ":path")],
    ["an empty path", () => changed(":path", "")],
    ["a path without its slash", () => changed(":path", anonymous.slice(1))],
    ["a whole address as its path", () => changed(":path", `https://evil.example${anonymous}`)],
    ["a path with a line end", () => changed(":path", `${anonymous}\r\nx: y`)],
    ["a method with a space", () => changed(":method", "POST /x")],
    [
      "a pseudo-header that nobody knows",
      () => [...honest().slice(0, 4), [":admin", "1"], ...honest().slice(4)],
    ],
    ["a pseudo-header after the others", () => [...honest(), [":path", anonymous]]],
    ["an answer's pseudo-header", () => [[":status", "200"], ...honest()]],
    ["an upper-case name", () => [...honest(), ["X-Upper", "a"]]],
    ["a header of a connection", () => [...honest(), ["connection", "keep-alive"]]],
    ["a coding of HTTP/1.1", () => [...honest(), ["transfer-encoding", "chunked"]]],
    ["a length that its data does not have", () => [...honest(), ["content-length", "5"]]],
  ])("%s is not answered as the honest one", async (_, fields) => {
    expect(http2StatusesIn(await send(fields()))).not.toContain(200);
  });

  test.concurrent.each<readonly [string, (bearer: string) => Fields]>([
    ["in a value", (bearer) => [["x-a", `b\r\nauthorization: ${bearer}`]]],
    ["in a name", (bearer) => [["x-a: b\r\nauthorization", bearer]]],
    ["behind a NUL", (bearer) => [["x-a", `b\0authorization: ${bearer}`]]],
  ])("a header that hides another one %s counts for nothing", async (_, hidden) => {
    const anonymously = changed(":path", whoAmI);
    const bearer = `Bearer ${token}`;
    expect(http2StatusesIn(await send([...anonymously, ["authorization", bearer]]))).toContain(200);
    expect(http2StatusesIn(await send([...anonymously, ...hidden(bearer)]))).not.toContain(200);
  });

  test("headers without end, in continuations, end the connection", async () => {
    const block = fieldBlock(honest());
    const open = frame(frameTypes.headers, endStream, 1, block);
    const more = frame(frameTypes.continuation, 0, 1, fieldBlock([["x-a", "b".repeat(8_000)]]));
    for (const service of ["router", "objects"] as const) {
      const flood = Buffer.concat([preface, open, ...Array<Buffer>(2_000).fill(more)]);
      expect((await exchange(target(service), "h2", flood)).ended, service).toBe(true);
    }
  });

  test("one field said again and again by its index is refused at the bound of all fields", async () => {
    // RFC 7541 section 6.2.1: the field goes into the table once, and each further byte says it again.
    const first = Buffer.concat([Buffer.of(0x40), fieldBlock([["x-bomb", "b".repeat(3_900)]]).subarray(1)]);
    const again = Buffer.alloc(16_000 - first.length, 0x80 | 62);
    const block = Buffer.concat([fieldBlock(honest()), first, again]).subarray(0, 16_384);
    for (const service of ["router", "objects"] as const) {
      const before = residentBytes(system.data.pid);
      const head = frame(frameTypes.headers, endStream | endHeaders, 1, block);
      const answer = await exchange(target(service), "h2", Buffer.concat([preface, head]));
      expect(http2StatusesIn(answer), service).not.toContain(200);
      expect(residentBytes(system.data.pid) - before).toBeLessThan(64 * MiB);
    }
  });

  test("requests that are reset at once are stopped, and other connections go on", async () => {
    const frames: Buffer[] = [preface];
    for (let index = 0; index < 20_000; index += 1) {
      const stream = 2 * index + 1;
      frames.push(
        headersFrame(honest(), stream),
        frame(frameTypes.reset, 0, stream, Buffer.from([0, 0, 0, 8])),
      );
    }
    for (const service of ["router", "objects"] as const) {
      const saysGoAway = (bytes: Buffer) =>
        framesIn({ bytes }).some(({ type }) => type === frameTypes.goAway);
      const patiently = { silenceMs: 20_000, isEnough: saysGoAway };
      const answer = await exchange(target(service), "h2", Buffer.concat(frames), patiently);
      expect(answer.ended || saysGoAway(answer.bytes), service).toBe(true);
    }
  });

  test.each([
    ["settings", frame(frameTypes.settings, 0, 0)],
    ["pings", frame(frameTypes.ping, 0, 0, Buffer.alloc(8))],
  ])("a flood of %s whose answers nobody reads ends the connection", async (_, one) => {
    const socket = await openRaw(target("router"), "h2");
    socket.pause();
    const flood = Buffer.concat(Array<Buffer>(10_000).fill(one));
    socket.write(preface);
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    const pour = () => {
      if (!socket.destroyed) socket.write(flood, () => setImmediate(pour));
    };
    pour();
    await ended;
  });
});

describe("bodies", () => {
  const offered = 64 * MiB;

  /** Pours a body over HTTP/1.1 until somebody answers and hangs up; resolves to what was taken. */
  function pourHttp1(
    path: string,
    headers: Record<string, string>,
  ): Promise<{ status: number; sent: number }> {
    return new Promise((resolve) => {
      let [status, sent] = [0, 0];
      const all = { "content-type": "application/proto", "transfer-encoding": "chunked", ...headers };
      const url = `${system.profile.router}${path}`;
      const outgoing = request(url, {
        method: "POST",
        headers: all,
        ca: system.profile.rootPem,
        agent: false,
      });
      outgoing.on("response", (response) => {
        status = response.statusCode!;
        response.resume();
      });
      outgoing.on("error", () => {});
      outgoing.on("close", () => resolve({ status, sent }));
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (!outgoing.destroyed && sent < offered) {
          sent += chunk.length;
          if (!outgoing.write(chunk)) return outgoing.once("drain", more);
        }
        return outgoing.end();
      };
      more();
    });
  }

  function pourHttp2(
    path: string,
    headers: Record<string, string>,
  ): Promise<{ status: number; sent: number }> {
    return new Promise((resolve) => {
      let [status, sent] = [0, 0];
      const session = connectHttp2(system.profile.router, { ca: system.profile.rootPem });
      session.on("error", () => {});
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/proto",
        ...headers,
      });
      stream.on("response", (answer) => {
        status = Number(answer[":status"]);
      });
      stream.on("error", () => {});
      stream.resume();
      // Node's client does not close a stream that was reset while it waits to write.
      for (const end of ["aborted", "close"]) {
        stream.on(end, () => {
          session.destroy();
          resolve({ status, sent });
        });
      }
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (!stream.destroyed && sent < offered) {
          sent += chunk.length;
          if (!stream.write(chunk)) return stream.once("drain", more);
        }
        return stream.end();
      };
      more();
    });
  }

  test.each([
    ["before anybody is known", whoAmI, () => ({}), 401],
    ["for nobody's method", "/x.Y/Z", () => ({}), 501],
    [
      "beyond the method's bound, from an administrator",
      listProjects,
      () => ({ authorization: `Bearer ${token}` }),
      429,
    ],
  ] as const)("one %s is refused without being taken", async (_, path, headers, status) => {
    const before = residentBytes(system.data.pid);
    for (const pour of [pourHttp1, pourHttp2]) {
      const poured = await pour(path, headers());
      expect([status, 0]).toContain(poured.status);
      // What lies in the buffers of three processes' sockets counts too.
      expect(poured.sent).toBeLessThan(24 * MiB);
    }
    expect(residentBytes(system.data.pid) - before).toBeLessThan(128 * MiB);
  });

  test("twenty compressed bodies of 256 MiB of zeros take no memory", async () => {
    const bomb = gzipSync(Buffer.alloc(256 * MiB));
    const before = residentBytes(system.data.pid);
    const send = () =>
      new Promise<number>((resolve, reject) => {
        const headers = {
          ...{ authorization: `Bearer ${token}`, "content-type": "application/proto" },
          ...{ "content-encoding": "gzip", "content-length": bomb.length },
        };
        const url = `${system.profile.router}${listProjects}`;
        const outgoing = request(url, { method: "POST", headers, ca: system.profile.rootPem }, (response) => {
          response.resume();
          resolve(response.statusCode!);
        });
        outgoing.on("error", reject);
        outgoing.end(bomb);
      });
    const statuses = await Promise.all(Array.from({ length: 20 }, send));
    expect(statuses).toEqual(Array(20).fill(429));
    expect(residentBytes(system.data.pid) - before).toBeLessThan(128 * MiB);
  });

  test("control: a compressed body within the bound is read", async () => {
    const body = gzipSync(Buffer.from([]));
    const status = await new Promise<number>((resolve, reject) => {
      const encoding = { "content-type": "application/proto", "content-encoding": "gzip" };
      const headers = { authorization: `Bearer ${token}`, ...encoding };
      const url = `${system.profile.router}${listProjects}`;
      const outgoing = request(url, { method: "POST", headers, ca: system.profile.rootPem }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
    expect(status).toBe(200);
  });
});
