/** What a process connects to, as the kernel saw it: `strace` writes down every connect() of it and of its threads. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { BiplaneError } from "@biplane/base";

export interface Connected {
  readonly address: string;
  readonly port: number;
}

const what = ["-f", "-e", "trace=connect", "-e", "signal=none"];

/** Runs a program with its own process id, and writes into the file. */
export function traceConnections(path: string): readonly string[] {
  return ["strace", "-D", "-qq", ...what, "-o", path];
}

/** Looks at processes that run already, from the moment that this resolves; gives back how to let go of them. */
export async function attachTrace(pids: readonly number[], path: string): Promise<() => Promise<void>> {
  const targets = pids.flatMap((pid) => ["-p", String(pid)]);
  const tracer = spawn("strace", [...what, "-o", path, ...targets], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(tracer, "exit");
  const said: string[] = [];
  for await (const line of createInterface({ input: tracer.stderr })) {
    said.push(line);
    if (said.filter((one) => one.includes(" attached")).length === pids.length) break;
  }
  if (tracer.exitCode !== null || said.filter((one) => one.includes(" attached")).length < pids.length) {
    throw new BiplaneError("failed_precondition", {
      what: "The plane's processes can't be traced.",
      why: said.at(-1) ?? "`strace` ended by itself.",
      next: "Run `biplane verify` as root on the planes' machine.",
    });
  }
  tracer.stderr.resume();
  return async () => {
    tracer.kill("SIGINT");
    await ended;
  };
}

export function threadsOf(pid: number): ReadonlySet<number> {
  return new Set(readdirSync(`/proc/${pid}/task`).map(Number));
}

const ipv4 =
  /^(\d+) +connect\(\d+, \{sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)/;
const ipv6 =
  /^(\d+) +connect\(\d+, \{sa_family=AF_INET6, sin6_port=htons\((\d+)\).*inet_pton\(AF_INET6, "([^"]+)"/;

/** Each once. Port 0 is how the resolver asks the kernel for a route; nothing is sent. */
export function readConnections(path: string, threads?: ReadonlySet<number>): readonly Connected[] {
  const found = new Map<string, Connected>();
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const match = ipv4.exec(line) ?? ipv6.exec(line);
    if (match === null) continue;
    const [, thread, port, address = ""] = match;
    if (threads !== undefined && !threads.has(Number(thread))) continue;
    if (Number(port) !== 0) found.set(`${address} ${port}`, { address, port: Number(port) });
  }
  return [...found.values()];
}
