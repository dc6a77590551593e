/** One plane as a process of its own: started, waited for, ended with all it started. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { BiplaneError, MiB, second } from "@biplane/base";
import { killAtExit } from "@biplane/kit/child-processes";
import { type Program, programFile } from "./installation.ts";

export interface PlaneOptions {
  readonly program: Program;
  readonly parameters: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The plane's own log. */
  readonly logPath: string;
}

const readyMsMax = 60 * second;
const graceMs = 8 * second;
const logTailBytes = 1_500;
const logBytesMax = 16 * MiB;

export class PlaneProcess {
  readonly name: Program;
  readonly logPath: string;
  /** Resolves when the process has ended. */
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;

  constructor(options: PlaneOptions) {
    this.name = options.program;
    this.logPath = options.logPath;
    mkdirSync(dirname(options.logPath), { recursive: true, mode: 0o700 });
    setAside(options.logPath);
    const log = openSync(options.logPath, "a", 0o600);
    this.#child = spawn(
      process.execPath,
      [programFile(options.program), ...options.parameters, "--stop-with-stdin"],
      {
        // Nothing is written to the input: it ends with this process, however that ends, and the plane with it.
        stdio: ["pipe", "pipe", log],
        env: environmentOf(options.environment),
        // Ctrl-C reaches the whole foreground group; each plane ends when it is told to, in order.
        detached: true,
      },
    );
    killAtExit(this.#child);
    closeSync(log);
    this.ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
      this.#child.once("error", () => resolve(1));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The line on standard output by which a plane says that it serves. */
  async ready<T extends object>(): Promise<T> {
    const timeout = AbortSignal.timeout(readyMsMax);
    const timedOut = new Promise<undefined>((resolve) =>
      timeout.addEventListener("abort", () => resolve(undefined)),
    );
    const line = await Promise.race([this.#firstLine(), this.ended.then(() => undefined), timedOut]);
    if (line !== undefined) return JSON.parse(line) as T;
    const reason = timeout.aborted ? "It did not get ready in time." : await this.#lastWords();
    await this.stop();
    throw new BiplaneError("unavailable", {
      what: `\`biplane ${this.name}\` did not start.`,
      why: reason,
      next: `Its log is ${this.logPath}.`,
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const kill = setTimeout(() => this.#kill(), graceMs);
    await this.ended;
    clearTimeout(kill);
  }

  /** Loses nothing: a plane may be killed at any instant. But none should have to be. */
  #kill(): void {
    process.stderr.write(
      `\`biplane ${this.name}\` did not end within ${graceMs / second} s and was killed. Its log is ${this.logPath}.\n`,
    );
    this.#child.kill("SIGKILL");
  }

  #firstLine(): Promise<string | undefined> {
    const output = this.#child.stdout;
    if (output === null) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const lines = createInterface({ input: output });
      lines.once("line", resolve);
      lines.once("close", () => resolve(undefined));
    });
  }

  async #lastWords(): Promise<string> {
    const log = await readFile(this.logPath, "utf8").catch(() => "");
    return `It ended with: ${log.slice(-logTailBytes).trim()}`;
  }
}

/** A log that has grown large makes room for a new one at the next start; one old one is kept. */
function setAside(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > logBytesMax) renameSync(path, `${path}.1`);
}

/** This process's, without a database that both planes would take for theirs. */
function environmentOf(own: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { BIPLANE_DATABASE_URL: _shared, ...others } = process.env;
  return { ...others, ...own };
}

/** Runs an errand of a program to its end and gives back the JSON line that it printed. */
export async function runErrand<T extends object>(
  program: Program,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<T> {
  const child = spawn(process.execPath, [programFile(program), ...parameters], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environmentOf(environment),
  });
  const [output, errors, code] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    new Promise<number>((resolve) => child.once("close", (exitCode) => resolve(exitCode ?? 1))),
  ]);
  const line = output.trim().split("\n").at(-1) ?? "";
  if (code === 0) return JSON.parse(line === "" ? "{}" : line) as T;
  throw new BiplaneError("failed_precondition", {
    what: `\`biplane ${program} ${parameters[0] ?? ""}\` failed.`,
    why: errors.slice(-logTailBytes).trim(),
  });
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}
