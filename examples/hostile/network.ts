/** Tries to reach what is outside: the cloud's metadata, this machine's other servers, the internet. */
import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import { type Attempt, attempt } from "./attempt.ts";

const patienceMs = 3_000;
const outside: readonly (readonly [host: string, port: number])[] = [
  ["169.254.169.254", 80],
  ["fd00:ec2::254", 80],
  ["1.1.1.1", 443],
  ["10.0.0.1", 22],
];

export function tryNetwork(loopbackPorts: readonly number[]): Promise<Attempt[]> {
  const loopback = loopbackPorts.map((port) => ["127.0.0.1", port] as const);
  return Promise.all([
    ...[...outside, ...loopback].map(([host, port]) =>
      attempt("network", `${host}:${port}`, () => dial(host, port)),
    ),
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
