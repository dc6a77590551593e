/** A plane's built program that decides what it is asked over its standard streams. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { killAtExit } from "@biplane/kit/child-processes";
import type { Policy } from "./model.ts";
import type { Question } from "./questions.ts";

export class DecidingProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #answers: AsyncIterator<string>;
  readonly #lines: Interface;
  readonly #lastWords: Promise<string>;

  /** `program`: file of the built control plane or data plane. */
  constructor(program: string) {
    this.#child = spawn(process.execPath, [program, "decide"], { stdio: ["pipe", "pipe", "pipe"] });
    this.#lastWords = text(this.#child.stderr);
    killAtExit(this.#child);
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  async decide(policy: Policy | undefined, questions: readonly Question[]): Promise<string[]> {
    const bundle = policy === undefined ? null : { ...policy, version: 1 };
    const lines = [{ policy: bundle }, ...questions].map((line) => `${JSON.stringify(line)}\n`);
    this.#child.stdin.write(lines.join(""));
    const answers: string[] = [];
    for (const _ of lines) {
      const { value, done } = await this.#answers.next();
      if (done === true)
        throw new Error(`The program ended before it had answered: ${await this.#lastWords}`);
      answers.push(value);
    }
    const [loaded, ...decided] = answers;
    if (loaded !== "policy") throw new Error(`The policy was not taken: ${loaded}`);
    return decided;
  }

  close(): void {
    this.#lines.close();
    this.#child.stdin.end();
    this.#child.kill();
  }
}
