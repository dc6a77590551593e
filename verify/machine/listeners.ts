/** TCP ports that a process listens on, read from /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const listening = "0A";

/** Ascending, each once. */
export function listeners(pid: number): number[] {
  const own = new Set(socketInodes(pid));
  const ports = ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === listening && own.has(fields[9]!))
      .map((fields) => Number.parseInt(fields[1]!.split(":")[1]!, 16)),
  );
  return [...new Set(ports)].sort((left, right) => left - right);
}

export function socketInodes(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1] ?? [];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}
