/** One of Biplane's programs as a real process under test: started from dist/, stopped, killed, started again. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { killAtExit } from "@biplane/kit/child-processes";

const distFolder = resolve(import.meta.dirname, "../../dist");
const readyMsMax = 60_000;
const stopMsMax = 30_000;

export interface DaemonOptions {
  /** Entry of dist/: control, edge, data. */
  readonly program: string;
  readonly parameters: () => readonly string[];
  readonly environment?: Record<string, string>;
  /** Program and parameters that run it, in its place and with its process id: `strace -D`. */
  readonly wrapper?: readonly string[];
  /** Gets everything that the process prints, over all of its lives. */
  readonly logPath: string;
}

export class Daemon {
  readonly #options: DaemonOptions;
  #child: ChildProcess | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.#options.program} is not running.`);
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get logPath(): string {
    return this.#options.logPath;
  }

  /** Starts the process and resolves to its ready line. */
  async start<Ready extends object>(): Promise<Ready> {
    if (this.running) throw new Error(`${this.#options.program} is running already.`);
    const { program, parameters, environment, logPath, wrapper = [] } = this.#options;
    const [file, ...rest] = [...wrapper, process.execPath, programPath(program), ...parameters()];
    const child = spawn(file!, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    killAtExit(child);
    this.#child = child;
    child.stderr.on("data", (chunk: Buffer) => appendFileSync(logPath, chunk));
    const lines = createInterface({ input: child.stdout });
    return new Promise<Ready>((resolve, reject) => {
      const timer = setTimeout(() => fail("was not ready in time"), readyMsMax);
      const fail = (what: string) => {
        clearTimeout(timer);
        reject(new Error(`${program} ${what}. Its log ends with:\n${logTail(logPath)}`));
      };
      child.once("exit", (code, signal) => fail(`ended with ${code ?? signal} before it was ready`));
      lines.on("line", (line) => {
        appendFileSync(logPath, `${line}\n`);
        const ready = parseReady<Ready>(line);
        if (ready === undefined) return;
        clearTimeout(timer);
        resolve(ready);
      });
    });
  }

  /** Asks the process to end and waits until it has. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Ends the process without giving it a chance to do anything. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const ended = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
    const [code, endSignal] = await ended;
    clearTimeout(timer);
    if (signal === "SIGTERM" && endSignal === "SIGKILL") {
      throw new Error(
        `${this.#options.program} did not end within ${stopMsMax} ms of being told to (${code}).`,
      );
    }
  }
}

export function programPath(program: string): string {
  const path = join(distFolder, `${program}.mjs`);
  if (!existsSync(path)) throw new Error(`${path} is not there. Run \`npm run build\` first.`);
  return path;
}

/** Runs a program of dist/ to its end and parses the JSON line that it prints. */
export async function runProgram<Result extends object>(
  program: string,
  parameters: readonly string[],
  environment: Record<string, string> = {},
): Promise<Result> {
  const { stdout } = await promisify(execFile)(process.execPath, [programPath(program), ...parameters], {
    env: { ...process.env, ...environment },
    timeout: readyMsMax,
  });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  return (line.startsWith("{") ? JSON.parse(line) : {}) as Result;
}

function parseReady<Ready>(line: string): Ready | undefined {
  try {
    const value = JSON.parse(line) as { ready?: unknown };
    return value.ready === true ? (value as Ready) : undefined;
  } catch {
    return undefined;
  }
}

function logTail(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8").slice(-3_000) : "(nothing was printed)";
}
