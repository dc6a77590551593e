/** Programs of the machine that some checks need, and how to install what is missing. */
import { spawnSync } from "node:child_process";
import { BiplaneError } from "@biplane/base";

const installs = {
  tcpdump: "apt-get install tcpdump",
  tshark: "apt-get install tshark",
  strace: "apt-get install strace",
} as const;
export type MachineTool = keyof typeof installs;

/** Throws with the command that installs what is missing; a check that can't look has not seen that all is well. */
export function requireTools(...names: readonly MachineTool[]): void {
  const missing = names.filter(
    (name) => spawnSync(name, ["--version"], { stdio: "ignore", timeout: 20_000 }).error !== undefined,
  );
  if (missing.length === 0) return;
  throw new BiplaneError("failed_precondition", {
    what: `This check needs ${missing.join(" and ")}.`,
    next: missing.map((name) => `\`${installs[name]}\``).join(", "),
  });
}

/** Other users' memory, and packets, are the superuser's to read. */
export function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new BiplaneError("failed_precondition", {
    what: "This check reads packets, or the memory of other processes, which takes root.",
    next: "Run `biplane verify` as root on the planes' machine.",
  });
}
