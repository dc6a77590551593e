import { connect as http2Connect, type ServerHttp2Stream } from "node:http2";
import { request } from "node:https";
import { connect as tcpConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { BiplaneError, Secret } from "@biplane/base";
import { IndexService } from "@biplane/control-wire";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { send } from "./html.ts";
import {
  createClientTransport,
  createConnectServer,
  createHttpServer,
  createRootAuthority,
  fromConnectError,
  issueCertificate,
  listen,
  serverCloser,
  type TlsIdentity,
} from "./index.ts";

const hourMs = 3_600_000;
let root: TlsIdentity;
let port: number;
let close: () => Promise<void>;

beforeAll(async () => {
  root = await createRootAuthority("test root", hourMs);
  const identity = await issueCertificate(root, {
    commonName: "server",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: hourMs,
  });
  const server = createConnectServer({
    tls: { identity },
    routes: (router) => {
      router.service(IndexService, {
        getProject: ({ id }) => {
          if (id === "teaching") {
            throw new BiplaneError(
              "not_found",
              { what: "No such project.", next: "List them." },
              { reason: "gone" },
            );
          }
          throw new Error(`a bug that quotes ${id}`);
        },
      });
    },
  });
  const closer = serverCloser(server);
  port = await listen(server, 0, "localhost");
  close = () => closer.close();
});

afterAll(() => close());

function client(authority = root) {
  const baseUrl = `https://localhost:${port}`;
  return createClient(
    IndexService,
    createClientTransport({ baseUrl, tls: { authorityPem: authority.certificatePem } }),
  );
}

test("an error for people arrives whole, with its reason", async () => {
  const error = fromConnectError(
    await client()
      .getProject({ id: "teaching" })
      .catch((thrown) => thrown),
  );
  expect(error).toMatchObject({ code: "not_found", reason: "gone", message: "No such project. List them." });
});

test("a bug arrives as a bare internal error that quotes nothing", async () => {
  const error = fromConnectError(
    await client()
      .getProject({ id: "canary" })
      .catch((thrown) => thrown),
  );
  expect(error.code).toBe("internal");
  expect(error.message).not.toContain("canary");
});

test("a client that pins another root does not connect", async () => {
  const other = await createRootAuthority("other root", hourMs);
  const error = fromConnectError(
    await client(other)
      .getProject({ id: "x" })
      .catch((thrown) => thrown),
  );
  expect(error.code).not.toBe("not_found");
});

test.each(["TLSv1", "TLSv1.1"] as const)("%s is refused (claim TLS-2)", async (version) => {
  const options = {
    port,
    host: "localhost",
    ca: root.certificatePem,
    minVersion: version,
    maxVersion: version,
  };
  const failed = await new Promise<boolean>((resolve) => {
    const socket = tlsConnect({ ...options, ciphers: "DEFAULT:@SECLEVEL=0" }, () => resolve(false));
    socket.on("error", () => resolve(true));
  });
  expect(failed).toBe(true);
});

test("1.3 is what is negotiated by default (claim TLS-2)", async () => {
  const protocol = await new Promise<string | null>((resolve, reject) => {
    const socket = tlsConnect({ port, host: "localhost", ca: root.certificatePem }, () => {
      resolve(socket.getProtocol());
      socket.destroy();
    });
    socket.on("error", reject);
  });
  expect(protocol).toBe("TLSv1.3");
});

test("plaintext gets no answer (claim TLS-1)", async () => {
  const answer = await new Promise<string>((resolve) => {
    const socket = tcpConnect(port, "localhost", () =>
      socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    );
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
  });
  expect(answer).not.toContain("HTTP/");
});

test("HTTP/1.1 and HTTP/2 are both spoken", async () => {
  const url = `https://localhost:${port}`;
  const session = http2Connect(url, { ca: root.certificatePem });
  const status = await new Promise((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({ ":path": "/nothing" });
    stream.on("response", (headers) => resolve(headers[":status"]));
    stream.end();
  });
  session.close();
  expect(status).toBe(404);
  const statusOfOld = await new Promise((resolve, reject) => {
    const get = request(`${url}/nothing`, { ca: root.certificatePem }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    get.on("error", reject);
    get.end();
  });
  expect(statusOfOld).toBe(404);
});

test("a secret in an error's cause never crosses", async () => {
  const failure = new BiplaneError("unavailable", "Try again.", { cause: new Secret("canary") });
  expect(JSON.stringify(failure)).not.toContain("canary");
});

test.each([
  ["application/proto", false],
  ["application/grpc", true],
])("an answer of type %s is held open for trailers: %s", async (type, isHeldOpen) => {
  const identity = await issueCertificate(root, {
    commonName: "server",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: hourMs,
  });
  const server = createHttpServer({ identity }, (_, response) =>
    send(response, 200, { "content-type": type }, "answer"),
  );
  let wasHeldOpen = false;
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.once("wantTrailers", () => {
      wasHeldOpen = true;
    });
  });
  const closer = serverCloser(server);
  const session = http2Connect(`https://localhost:${await listen(server, 0, "localhost")}`, {
    ca: root.certificatePem,
  });
  const stream = session.request({ ":path": "/" });
  let body = "";
  for await (const chunk of stream) body += chunk;
  session.close();
  await closer.close();
  expect(body).toBe("answer");
  expect(wasHeldOpen).toBe(isHeldOpen);
});
