/** What a process has read and written since it began, sockets included, as the kernel counts it. */
import { readFileSync } from "node:fs";

export function bytesMoved(pid: number): number {
  const text = readFileSync(`/proc/${pid}/io`, "utf8");
  const [read, written] = ["rchar", "wchar"].map((name) =>
    Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1]),
  );
  if (read === undefined || written === undefined || Number.isNaN(read + written))
    throw new Error(`/proc/${pid}/io does not tell what was moved.`);
  return read + written;
}
