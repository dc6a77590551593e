/** A process's own TCP connections, read from /proc. */
import { readFileSync } from "node:fs";
import { socketInodes } from "./listeners.ts";

export interface ProcessConnection {
  readonly localPort: number;
  /** `ADDRESS:PORT`; the address as the kernel writes it, in hexadecimal, where it is none of version 4. */
  readonly remote: string;
}

const established = "01";

export function connectionsOf(pid: number): ProcessConnection[] {
  const own = new Set(socketInodes(pid));
  return ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === established && own.has(fields[9]!))
      .map((fields) => ({
        localPort: portOf(fields[1]!),
        remote: `${addressOf(fields[2]!)}:${portOf(fields[2]!)}`,
      })),
  );
}

function portOf(place: string): number {
  return Number.parseInt(place.split(":")[1]!, 16);
}

/** The kernel writes version 4 in the machine's byte order: little-endian. */
function addressOf(place: string): string {
  const hex = place.split(":")[0]!;
  const v4 = /^(0{16}FFFF0000)?([0-9A-F]{8})$/.exec(hex)?.[2];
  return v4 === undefined ? hex : [...Buffer.from(v4, "hex")].reverse().join(".");
}
