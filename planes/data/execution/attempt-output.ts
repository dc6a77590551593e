/**
 * Takes an attempt's output from its process into the log store, line by line, with time and originator. A store that
 * is slower than the task slows the task down; nothing is dropped but the rest of lines that are too long.
 */
import { randomBytes } from "node:crypto";
import { MiB } from "@biplane/base";
import type { Clock, Logger } from "@biplane/kit";
import type { LogLine, LogWriter } from "../logs/types.ts";
import { LineSplitter, type SplitLine } from "./line-splitter.ts";

const pendingBytesMax = 4 * MiB;
const batchLinesMax = 10_000;
/** A process that the task left behind may hold the streams open for good. */
const settleMsMax = 2_000;

export type StreamName = "stdout" | "stderr";

export interface OutputSource {
  pause(): void;
  resume(): void;
}

export interface AttemptOutputOptions {
  readonly writer: LogWriter;
  readonly clock: Clock;
  readonly log: Logger;
}

export class AttemptOutput {
  /** Ends a worker's output, see `LineSplitter`; nobody can guess it. */
  readonly mark = `\u0004${randomBytes(24).toString("base64url")}`;
  readonly #options: AttemptOutputOptions;
  readonly #splitters: Record<StreamName, LineSplitter>;
  readonly #allEnded = Promise.withResolvers<void>();
  #source: OutputSource | undefined;
  #pending: LogLine[] = [];
  #pendingBytes = 0;
  #paused = false;
  #storing: Promise<void> | undefined;

  constructor(options: AttemptOutputOptions) {
    this.#options = options;
    this.#splitters = { stdout: new LineSplitter(this.mark), stderr: new LineSplitter(this.mark) };
  }

  /** Who is told to wait while the store is behind. */
  attach(source: OutputSource): void {
    this.#source = source;
  }

  push(stream: StreamName, chunk: Buffer): void {
    this.#add(this.#splitters[stream].push(chunk));
    this.#noticeEnd();
  }

  /** The stream has closed. */
  finish(stream: StreamName): void {
    this.#add(this.#splitters[stream].finish());
    this.#noticeEnd();
  }

  /** A line of the platform's own. */
  note(message: string): void {
    this.#append({ atMs: this.#options.clock.now(), originator: "system", message: `${message}\n` });
  }

  /** Resolves once both streams have ended; a result can overtake the last lines. */
  async settle(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, settleMsMax);
    await Promise.race([this.#allEnded.promise, promise]);
    clearTimeout(timer);
  }

  /** Whatever came is durable, and tails end. */
  async close(): Promise<void> {
    for (const stream of ["stdout", "stderr"] as const) this.finish(stream);
    await this.#storing;
    this.#source?.resume();
    await this.#options.writer.close();
  }

  #noticeEnd(): void {
    if (this.#splitters.stdout.ended && this.#splitters.stderr.ended) this.#allEnded.resolve();
  }

  #add(lines: readonly SplitLine[]): void {
    const atMs = this.#options.clock.now();
    for (const { text, droppedBytes } of lines) {
      if (text !== "") this.#append({ atMs, originator: "user", message: text });
      if (droppedBytes > 0) this.note(`The line above was cut: ${droppedBytes} more bytes are not kept.`);
    }
  }

  #append(line: LogLine): void {
    this.#pending.push(line);
    this.#pendingBytes += line.message.length;
    if (this.#pendingBytes > pendingBytesMax && !this.#paused) {
      this.#paused = true;
      this.#source?.pause();
    }
    this.#storing ??= this.#store();
  }

  async #store(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, batchLinesMax);
      this.#pendingBytes -= batch.reduce((sum, line) => sum + line.message.length, 0);
      try {
        await this.#options.writer.append(batch);
      } catch (error) {
        // The task goes on: a full disk is met again, with a clear end, when its outcome is recorded.
        this.#options.log.error({ event: "log_lines_lost", count: batch.length, error }, "log lines lost");
      }
      if (this.#paused && this.#pendingBytes < pendingBytesMax / 2) {
        this.#paused = false;
        this.#source?.resume();
      }
    }
    this.#storing = undefined;
  }
}
