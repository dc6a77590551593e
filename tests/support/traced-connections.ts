/** What a process connects to, as the kernel saw it: `strace` writes down every connect() of it and of its threads. */
import { readdirSync, readFileSync } from "node:fs";

export interface Connected {
  readonly address: string;
  readonly port: number;
}

/** Runs a program with its own process id, and writes into the file. */
export function traceConnections(path: string): readonly string[] {
  return ["strace", "-D", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o", path];
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
