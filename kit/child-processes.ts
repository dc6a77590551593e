/** Child processes that end with this one. */
import type { ChildProcess } from "node:child_process";

const children = new Set<ChildProcess>();

/** However this process ends, short of a kill, it leaves no child behind that nobody looks after. */
export function killAtExit(child: ChildProcess): void {
  if (children.size === 0) process.on("exit", killAll);
  children.add(child);
  child.once("exit", () => {
    children.delete(child);
    if (children.size === 0) process.off("exit", killAll);
  });
}

function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}
