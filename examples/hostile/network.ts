/** Tries to reach what is outside: the cloud's metadata, this machine's other servers, the internet; directly and by the proxy. */
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { type Attempt, attempt } from "./attempt.ts";

const patienceMs = 3_000;
const outside: readonly (readonly [host: string, port: number])[] = [
  ["169.254.169.254", 80],
  ["fd00:ec2::254", 80],
  ["1.1.1.1", 443],
  ["10.0.0.1", 22],
];

/** The same places in other spellings, names that lead there, and requests that a proxy would have to read. */
const disguised = [
  "CONNECT [::ffff:169.254.169.254]:80",
  "CONNECT [64:ff9b::a9fe:a9fe]:80",
  "CONNECT 0xa9fea9fe:80",
  "CONNECT 2852039166:80",
  "CONNECT 127.1:22",
  "CONNECT metadata.google.internal:80",
  "CONNECT localhost:22",
  "CONNECT .:443",
  `CONNECT ${"a.".repeat(8_000)}:443`,
  "GET http://169.254.169.254/latest/meta-data/",
];

export function tryNetwork(loopbackPorts: readonly number[]): Promise<Attempt[]> {
  const loopback = loopbackPorts.map((port) => ["127.0.0.1", port] as const);
  return Promise.all([
    ...[...outside, ...loopback].map(([host, port]) =>
      attempt("network", `${host}:${port}`, () => dial(host, port)),
    ),
    ...[...outside, ...loopback].map(([host, port]) =>
      attempt("network by proxy", `${host}:${port}`, () =>
        askProxy(`CONNECT ${host.includes(":") ? `[${host}]` : host}:${port}`),
      ),
    ),
    ...disguised.map((line) => attempt("network by proxy", line, () => askProxy(line))),
    attempt("network", "metadata.google.internal", () =>
      lookup("metadata.google.internal").then(({ address }) => address),
    ),
  ]);
}

function dial(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: patienceMs });
    socket.once("connect", () => {
      socket.destroy();
      resolve("connected");
    });
    socket.once("timeout", () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
  });
}

/** What the sandbox's proxy answers, where there is one: anything but 200 is a refusal. */
async function askProxy(line: string): Promise<string> {
  const { port, hostname } = new URL(process.env["HTTPS_PROXY"] ?? "http://127.0.0.1:3128");
  const socket = connect({ host: hostname, port: Number(port), timeout: patienceMs });
  socket.once("timeout", () => socket.destroy(new Error("no answer")));
  socket.write(`${line} HTTP/1.1\r\nhost: proxy\r\n\r\n`);
  const [first] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  const [status = ""] = first.toString("latin1").split("\r\n");
  if (/^HTTP\/1\.[01] 200 /.test(status)) return status;
  throw new Error(status);
}
