/** Tries to read and change the machine: files, other processes and their memory, privileges. */
import { execFileSync } from "node:child_process";
import { openSync, readdirSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { type Attempt, attempt } from "./attempt.ts";

export async function tryFiles(files: readonly string[]): Promise<Attempt[]> {
  const read = ["/etc/shadow", "/root/.ssh/id_rsa", "/proc/1/environ", "/proc/kcore", ...files];
  const write = ["/usr/bin/evil", "/etc/passwd", "/opt/biplane/dist/worker.mjs", "/run/biplane/router.sock"];
  return Promise.all([
    ...read.map((path) => attempt("read file", path, () => readFileSync(path).subarray(0, 40))),
    ...write.map((path) => attempt("write file", path, () => writeFileSync(path, "mine"))),
  ]);
}

export async function tryProcesses(processes: readonly number[]): Promise<Attempt[]> {
  const perProcess = processes.flatMap((pid) => [
    attempt("process memory", `/proc/${pid}/mem`, () => readMemory(pid)),
    attempt("signal", `process ${pid}`, () => process.kill(pid, 0)),
  ]);
  return Promise.all([
    ...perProcess,
    attempt("process memory", "/proc/1/mem", () => readMemory(1)),
    attempt("other processes", "/proc", listForeignProcesses),
  ]);
}

export function tryPrivileges(): Promise<Attempt[]> {
  return Promise.all([
    attempt("become root", "setuid", () => process.setuid?.(0)),
    attempt("mount", "/", () => run("mount", "-t", "tmpfs", "none", "/mnt")),
    attempt("become root", "user namespace", () => run("unshare", "--user", "--map-root-user", "id", "-u")),
    attempt("host name", "sethostname", () => run("hostname", "mine")),
  ]);
}

/** The beginning of the first mapping that can be read. */
function readMemory(pid: number): string {
  const start = /^([0-9a-f]+)-/m.exec(readFileSync(`/proc/${pid}/maps`, "latin1"))?.[1];
  if (start === undefined) throw new Error("no mappings");
  const bytes = Buffer.alloc(16);
  readSync(openSync(`/proc/${pid}/mem`, "r"), bytes, 0, bytes.length, Number.parseInt(start, 16));
  return bytes.toString("hex");
}

/** Its own sandbox has two processes: the first one and this one. */
function listForeignProcesses(): string {
  const foreign = readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && !["1", String(process.pid)].includes(name),
  );
  if (foreign.length === 0) throw new Error("none to be seen");
  return foreign.join(" ");
}

function run(command: string, ...argv: string[]): string {
  return execFileSync(command, argv, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}
