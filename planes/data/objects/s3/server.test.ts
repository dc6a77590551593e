import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { hour, MiB } from "@biplane/base";
import { createRootAuthority, issueCertificate } from "@biplane/kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EmbeddedObjects, handleConnection } from "../index.ts";
import { send } from "../testing/https.ts";
import { StoreHome } from "../testing/open-store.ts";
import { type ServedObjects, serveObjects } from "../testing/serve.ts";
import {
  encodePath,
  scopeText,
  signChunk,
  signingKey,
  signRequest,
  signTrailer,
  timeText,
} from "./signature.ts";

let home: StoreHome;
let objects: EmbeddedObjects;
let served: ServedObjects;
const key = "acme/flights/development/run1/a0/1/file";

beforeEach(async () => {
  home = await StoreHome.create();
  objects = await home.open();
  served = await serveObjects(objects);
});
afterEach(async () => {
  served.close();
  await home.remove();
});

const get = (name = key) => served.grants.presign({ method: "GET", key: name, lifetimeMs: hour }).reveal();
const put = (name = key) => served.grants.presign({ method: "PUT", key: name, lifetimeMs: hour }).reveal();
const fetchUrl = (url: string, options: object = {}) =>
  send(url, { ...options, authorityPem: served.authorityPem });

describe("an object that is damaged behind its beginning", () => {
  beforeEach(async () => {
    await objects.store.put(key, randomBytes(4 * MiB));
    const folder = join(home.folder, "objects/files");
    const [name] = await readdir(folder);
    const bytes = await readFile(join(folder, name!));
    bytes[3 * MiB] = bytes[3 * MiB]! ^ 1;
    await writeFile(join(folder, name!), bytes);
  });

  test("breaks off on HTTP/1.1, instead of ending as if it were whole", async () => {
    await expect(fetchUrl(get())).rejects.toThrow("aborted");
  });

  test("breaks off on HTTP/2, instead of ending as if it were whole", async () => {
    const url = new URL(get());
    const session = connectHttp2(url.origin, { ca: served.authorityPem });
    const stream = session.request({ ":path": url.pathname + url.search });
    const received: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => received.push(chunk));
    const code = await new Promise<number>((resolve) => {
      stream.on("error", () => undefined);
      stream.on("close", () => resolve(stream.rstCode));
    });
    session.destroy();
    expect(code).toBe(2);
    expect(Buffer.concat(received).length).toBeLessThan(4 * MiB);
  });
});

test("a client that leaves in the middle of a download ends nothing but its own request", async () => {
  await objects.store.put(key, randomBytes(20 * MiB));
  for (let round = 0; round < 5; round += 1) {
    await new Promise<void>((resolve) => {
      const sending = request(get(), { ca: served.authorityPem, agent: false }, (response) => {
        response.once("data", () => response.destroy());
        response.on("close", resolve);
      });
      sending.end();
    });
  }
  expect((await fetchUrl(get())).body).toHaveLength(20 * MiB);
});

test("an upload that is cut short leaves nothing (claim FLOW-1)", async () => {
  const files = () => readdir(join(home.folder, "objects/files"));
  const headers = { "content-length": 10 * MiB };
  const sending = request(put(), { method: "PUT", headers, ca: served.authorityPem, agent: false });
  sending.on("error", () => undefined);
  sending.write(randomBytes(3 * MiB));
  await expect.poll(files, { timeout: 10_000, message: "control: it is there until then" }).toHaveLength(1);
  sending.destroy();
  await expect.poll(files, { timeout: 10_000 }).toEqual([]);
  expect(await objects.store.head(key)).toBeUndefined();
});

test("a body that is not what its headers say is refused and stored nowhere", async () => {
  const body = Buffer.from("the content");
  const md5 = (text: string) => createHash("md5").update(text).digest("base64");
  const upload = (headers: Record<string, string>) =>
    fetchUrl(put(), { method: "PUT", body, headers: { "content-length": body.length, ...headers } });
  expect(await upload({ "content-md5": md5("other") })).toMatchObject({ status: 400, code: "BadDigest" });
  expect(await upload({ "content-md5": "nonsense" })).toMatchObject({ status: 400, code: "InvalidDigest" });
  const sha256 = createHash("sha256").update("other").digest("hex");
  expect(await upload({ "x-amz-content-sha256": sha256 })).toMatchObject({ status: 403 });
  expect(await objects.store.head(key)).toBeUndefined();
  expect(await upload({ "content-md5": md5("the content") })).toMatchObject({ status: 200 });
});

test("connections may come from anywhere: the server ends TLS on any stream of bytes", async () => {
  const authority = await createRootAuthority("elsewhere", hour, 0);
  const identity = await issueCertificate(authority, {
    commonName: "localhost",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: hour,
  });
  await objects.store.put(key, Buffer.from("through a pipe"));
  const server = objects.createServer({ identity });
  const path = join(home.folder, "store.sock");
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  const overSocket = connectTls({ path, servername: "localhost", ca: authority.certificatePem });
  expect(await exchange(overSocket)).toContain("through a pipe");
  const [near, far] = pipePair();
  handleConnection(server, far);
  const overPipe = connectTls({ socket: near, servername: "localhost", ca: authority.certificatePem });
  expect(await exchange(overPipe)).toContain("through a pipe");
  server.close();
});

test("bytes that are no TLS get no answer", async () => {
  const { port } = new URL(served.endpoint);
  const received = await new Promise<string>((resolve) => {
    let text = "";
    const socket = connect(Number(port), "127.0.0.1", () =>
      socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    );
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
  expect(received).not.toContain("HTTP");
});

describe("an upload in signed chunks", () => {
  const content = randomBytes(150_000);
  const chunkBytes = 65_536;

  interface Tampering {
    readonly flipByte?: boolean;
    readonly dropLastChunk?: boolean;
    readonly trailer?: string;
    readonly append?: string;
  }

  /** Signs chunk by chunk, as SDKs do for streams whose digest they don't know beforehand. */
  function upload(tampering: Tampering = {}) {
    const credentials = served.grants.sessionCredentials({
      readPrefixes: [""],
      writePrefixes: [""],
      lifetimeMs: hour,
    });
    const time = timeText(Date.now());
    const scope = { date: time.slice(0, 8), region: "us-east-1" };
    const signing = signingKey(credentials.secretAccessKey.reveal(), scope);
    const payloadHash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    const headers: Record<string, string> = {
      host: new URL(served.endpoint).host,
      "x-amz-content-sha256": payloadHash,
      "x-amz-date": time,
      "x-amz-decoded-content-length": String(content.length),
      "x-amz-security-token": credentials.sessionToken.reveal(),
      "x-amz-trailer": "x-amz-checksum-sha256",
    };
    const names = Object.keys(headers).sort();
    const path = `/biplane/${key}`;
    const signed = names.map((name) => [name, headers[name]!] as const);
    const seed = signRequest(signing, time, scope, {
      method: "PUT",
      path,
      query: [],
      headers: signed,
      payloadHash,
    });
    const pieces: Buffer[] = [];
    let before = seed;
    for (let start = 0; start <= content.length; start += chunkBytes) {
      const chunk = content.subarray(start, start + chunkBytes);
      before = signChunk(signing, time, scope, before, createHash("sha256").update(chunk).digest("hex"));
      pieces.push(
        Buffer.from(`${chunk.length.toString(16)};chunk-signature=${before}\r\n`),
        chunk,
        Buffer.from("\r\n"),
      );
    }
    before = signChunk(signing, time, scope, before, createHash("sha256").digest("hex"));
    const sum = createHash("sha256").update(content).digest("base64");
    const trailer = `x-amz-checksum-sha256:${sum}\n`;
    const trailerSignature = signTrailer(signing, time, scope, before, trailer);
    pieces.push(Buffer.from(`0;chunk-signature=${before}\r\n${tampering.trailer ?? trailer.trim()}\r\n`));
    pieces.push(Buffer.from(`x-amz-trailer-signature:${trailerSignature}\r\n\r\n${tampering.append ?? ""}`));
    if (tampering.dropLastChunk === true) pieces.splice(6, 3);
    const body = Buffer.concat(pieces);
    if (tampering.flipByte === true) body[1_000] = body[1_000]! ^ 1;
    const credential = `${credentials.accessKeyId}/${scopeText(scope)}`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${names.join(";")},Signature=${seed}`;
    const sent = {
      ...headers,
      authorization,
      "content-length": body.length,
      "content-encoding": "aws-chunked",
    };
    return fetchUrl(served.endpoint + encodePath(path), { method: "PUT", body, headers: sent });
  }

  test("is stored when all signatures and the trailing checksum hold", async () => {
    expect(await upload()).toMatchObject({ status: 200 });
    expect(Buffer.from((await objects.store.read(key, MiB))!).equals(content)).toBe(true);
    expect((await fetchUrl(get())).headers).not.toHaveProperty("content-encoding");
  });

  const tamperings: [string, Tampering, string][] = [
    ["a changed byte", { flipByte: true }, "SignatureDoesNotMatch"],
    ["a missing chunk", { dropLastChunk: true }, "SignatureDoesNotMatch"],
    ["another checksum", { trailer: "x-amz-checksum-sha256:AAAA" }, "SignatureDoesNotMatch"],
    ["a checksum that was not announced", { trailer: "x-amz-checksum-sha1:AAAA" }, "InvalidRequest"],
    ["bytes behind the end", { append: "more" }, "IncompleteBody"],
  ];
  test.each(tamperings)("is refused with %s", async (_what, tampering, code) => {
    expect(await upload(tampering)).toMatchObject({ code });
    expect(await objects.store.head(key)).toBeUndefined();
  });
});

/** One request over a connection that is there already; the whole answer as text. */
function exchange(connection: Duplex): Promise<string> {
  const url = new URL(get());
  return new Promise((resolve, reject) => {
    let text = "";
    connection.on("error", reject);
    connection.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    connection.on("end", () => resolve(text));
    connection.write(
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n\r\n`,
    );
  });
}

/** Two ends of a stream that is no socket, as a tunnel gives them. */
function pipePair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (other: number): Duplex =>
    new Duplex({
      read: () => undefined,
      write: (chunk, _encoding, done) => {
        ends[other]!.push(chunk);
        done();
      },
      final: (done) => {
        ends[other]!.push(null);
        done();
      },
    });
  ends.push(end(1), end(0));
  return [ends[0]!, ends[1]!];
}
