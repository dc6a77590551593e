/**
 * Arguments of bubblewrap for one sandbox: namespaces of its own for mounts, processes, IPC, host name and network, a
 * read-only system, a private /tmp, no capabilities, nothing of the data plane.
 */
import { lstatSync, readlinkSync } from "node:fs";
import { GiB, MiB } from "@biplane/base";
import { type InsidePaths, type Installation, type SandboxOptions, snapshotFile } from "./types.ts";

export const processesMax = 512;
const scratchBytesMax = 4 * GiB;
const sharedMemoryBytesMax = 256 * MiB;

export function bubblewrapPaths(installation: Installation, hasSnapshot: boolean): InsidePaths {
  return {
    node: "/opt/biplane/bin/node",
    snapshot: hasSnapshot ? `/opt/biplane/dist/${snapshotFile}` : undefined,
    worker: "/opt/biplane/dist/worker.mjs",
    sdk: "/opt/biplane/dist/sdk.mjs",
    firstProcess: "/opt/biplane/dist/first-process.mjs",
    installation: installation.taskModules === undefined ? undefined : "/opt/biplane",
    sockets: "/run/biplane",
    scratch: "/tmp",
  };
}

/** `user`: the sandbox's own user id where this process is root; undefined: it keeps its user, in a user namespace. */
export function bubblewrapArguments(
  installation: Installation,
  etcFolder: string,
  options: SandboxOptions,
  user: number | undefined,
): string[] {
  return [
    ...namespaces(user),
    ...systemMounts(),
    ...etcMounts(etcFolder),
    ...privateMounts(),
    ...installationMounts(installation),
    ...["--perms", "0755", "--dir", "/run", "--ro-bind", options.socketFolder, "/run/biplane"],
    ...["--remount-ro", "/", "--chdir", "/tmp", "--"],
    ...["prlimit", "--core=0", `--nproc=${processesMax}`, "--"],
    ...dropPrivileges(user),
    ...options.argv,
  ];
}

/** As root no user namespace: the task would stay the host's root, which its files and sockets believe. */
function namespaces(user: number | undefined): string[] {
  const shared = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"];
  const own = [...shared, "--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"];
  if (user === undefined) return [...own, "--unshare-user", "--disable-userns"];
  // What `setpriv` needs to give them all up.
  return [...own, ...["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"].flatMap((name) => ["--cap-add", name])];
}

function dropPrivileges(user: number | undefined): string[] {
  const keepNone = ["--no-new-privs", "--inh-caps=-all"];
  if (user === undefined) return ["setpriv", ...keepNone, "--"];
  const identity = [`--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--bounding-set=-all"];
  return ["setpriv", ...identity, ...keepNone, "--"];
}

/** /usr, and the top folders as this system has them: links into /usr, or folders of their own. */
function systemMounts(): string[] {
  const tops = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
  return [
    ...["--ro-bind", "/usr", "/usr"],
    ...tops.flatMap((top) => {
      const kind = lstatSync(top, { throwIfNoEntry: false });
      if (kind === undefined) return [];
      return kind.isSymbolicLink() ? ["--symlink", readlinkSync(top), top] : ["--ro-bind", top, top];
    }),
  ];
}

/** Only what programs need to start and to verify certificates; `etcFolder` has users, hosts and name switch. */
function etcMounts(etcFolder: string): string[] {
  const shared = [
    "/etc/ssl/certs",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/mime.types",
  ];
  const own = ["passwd", "group", "hosts", "nsswitch.conf"];
  return [
    ...["--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl"],
    ...shared.flatMap((path) => ["--ro-bind-try", path, path]),
    ...own.flatMap((name) => ["--ro-bind", `${etcFolder}/${name}`, `/etc/${name}`]),
  ];
}

function privateMounts(): string[] {
  return [
    ...[
      "--proc",
      "/proc",
      "--dev",
      "/dev",
      "--perms",
      "0755",
      "--dir",
      "/var",
      "--symlink",
      "/tmp",
      "/var/tmp",
    ],
    ...["--perms", "1777", "--size", String(scratchBytesMax), "--tmpfs", "/tmp"],
    ...["--perms", "1777", "--size", String(sharedMemoryBytesMax), "--tmpfs", "/dev/shm"],
  ];
}

function installationMounts(installation: Installation): string[] {
  const folders = ["/opt", "/opt/biplane", "/opt/biplane/bin"];
  const modules =
    installation.taskModules === undefined
      ? []
      : ["--ro-bind", installation.taskModules, "/opt/biplane/node_modules"];
  return [
    ...folders.flatMap((folder) => ["--perms", "0755", "--dir", folder]),
    ...["--ro-bind", installation.node, "/opt/biplane/bin/node"],
    ...["--ro-bind", installation.dist, "/opt/biplane/dist"],
    ...modules,
  ];
}
