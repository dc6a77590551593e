/** Chooses how sandboxes are made on this machine, once, and starts them. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import type { Logger } from "@biplane/kit";
import { bubblewrapArguments, bubblewrapPaths, processesMax } from "./bubblewrap.ts";
import { Cgroups } from "./cgroups.ts";
import { writeEtcFiles } from "./etc-files.ts";
import { RunningSandbox } from "./running.ts";
import { seccompProgram } from "./seccomp.ts";
import { Spawner } from "./spawner.ts";
import type { Installation, SandboxLauncher, SandboxOptions } from "./types.ts";
import { unsandboxedPaths } from "./unsandboxed.ts";

export interface LauncherOptions {
  readonly installation: Installation;
  /** Folder for the files that all sandboxes see. */
  readonly folder: string;
  readonly allowUnsandboxed: boolean;
  /** Workers start from the installation's snapshot. */
  readonly hasSnapshot: boolean;
  readonly log: Logger;
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function createLauncher(options: LauncherOptions): SandboxLauncher {
  const problem = sandboxProblem();
  if (problem === undefined) return bubblewrapLauncher(options);
  if (!options.allowUnsandboxed) throw problem;
  options.log.warn({ event: "unsandboxed" }, "tasks run without a sandbox");
  const starting = { cgroups: Cgroups.detect(), spawner: new Spawner(options.log) };
  return {
    kind: "none",
    inside: (socketFolder) => unsandboxedPaths(options.installation, socketFolder, options.hasSnapshot),
    start: (sandbox) => start(starting, sandbox, sandbox.argv, true),
    close: () => starting.spawner.close(),
  };
}

function bubblewrapLauncher(options: LauncherOptions): SandboxLauncher {
  writeEtcFiles(options.folder);
  const filter = writeFilter(options.folder);
  const cgroups = Cgroups.detect();
  options.log.info(
    { event: "sandbox", reason: cgroups.has("memory") ? "control_groups" : "sampled" },
    "sandboxes ready",
  );
  const paths = bubblewrapPaths(options.installation, options.hasSnapshot);
  const starting = { cgroups, spawner: new Spawner(options.log) };
  return {
    kind: "bubblewrap",
    inside: () => paths,
    start: (sandbox, user) => {
      const wrapped = bubblewrapArguments(options.installation, options.folder, sandbox, user);
      const filtered = filter === undefined ? [] : ["--seccomp", "5"];
      return start(starting, sandbox, ["bwrap", "--info-fd", "4", ...filtered, ...wrapped], false, filter);
    },
    close: () => starting.spawner.close(),
  };
}

/** Undefined where this architecture's system calls are not known. */
function writeFilter(folder: string): string | undefined {
  const program = seccompProgram(process.arch);
  if (program === undefined) return undefined;
  const path = join(folder, "seccomp.bpf");
  writeFileSync(path, program, { mode: 0o644 });
  return path;
}

interface Starting {
  readonly cgroups: Cgroups;
  readonly spawner: Spawner;
}

async function start(
  { cgroups, spawner }: Starting,
  options: SandboxOptions,
  argv: readonly string[],
  ownGroup: boolean,
  filter?: string,
): Promise<RunningSandbox> {
  const cgroup = cgroups.next();
  const spawned = await spawner.start({
    argv,
    environment: { PATH: systemPath, ...options.environment },
    control: options.control,
    ownGroup,
    filter,
    groups: {
      folders: cgroup.folders,
      settings: cgroup.firstSettings(processesMax, options.background),
    },
  });
  const removeGroups = (folders: readonly string[]) => spawner.removeGroups(folders);
  return new RunningSandbox(spawned, cgroup, { samples: !cgroups.has("memory"), ownGroup, removeGroups });
}

/** Tries one, since namespaces can be forbidden in many ways and old versions lack options. */
function sandboxProblem(): BiplaneError | undefined {
  const user = process.getuid?.() === 0 ? [] : ["--unshare-user", "--disable-userns"];
  const mounts = [
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--perms",
    "1777",
    "--size",
    "65536",
    "--tmpfs",
    "/tmp",
  ];
  try {
    const trial = [...user, "--unshare-pid", "--unshare-net", ...mounts, "true"];
    execFileSync("bwrap", trial, { stdio: ["ignore", "ignore", "pipe"], timeout: 10_000 });
    execFileSync("setpriv", ["--version"], { stdio: "ignore", timeout: 10_000 });
    return undefined;
  } catch (cause) {
    return noSandbox(cause as NodeJS.ErrnoException & { stderr?: Buffer | null });
  }
}

function noSandbox(cause: NodeJS.ErrnoException & { stderr?: Buffer | null }): BiplaneError {
  const missing = cause.code === "ENOENT";
  const said = cause.stderr?.toString("utf8").trim().split("\n")[0] ?? "";
  const why = missing
    ? "`bwrap` (bubblewrap) or `setpriv` (util-linux) is not installed."
    : `bubblewrap could not make a sandbox: ${said || cause.message}`;
  const remedy = missing
    ? "Install them, e.g. `apt-get install bubblewrap util-linux`"
    : "Allow user namespaces (`sysctl user.max_user_namespaces`), or install bubblewrap 0.8 or newer";
  const next = `${remedy}, or pass --allow-unsandboxed where every task is trusted.`;
  const text = { what: "Tasks can't be isolated on this machine.", why, next };
  return new BiplaneError("failed_precondition", text, { cause, reason: "no_sandbox" });
}
