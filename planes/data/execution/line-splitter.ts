/**
 * Cuts one output stream of a process into lines. A worker ends an attempt's output with a mark that nobody can guess:
 * what came before the mark is the whole of the task's output, with or without a newline at its end.
 */
import { limits } from "@biplane/base";

const newline = 0x0a;

export interface SplitLine {
  readonly text: string;
  /** Bytes of the line that were left out since it was too long. */
  readonly droppedBytes: number;
}

export class LineSplitter {
  readonly #mark: Buffer;
  #held: Buffer = Buffer.alloc(0);
  /** Undefined: not inside a line that was cut. */
  #droppedBytes: number | undefined;
  #ended = false;

  constructor(mark: string) {
    this.#mark = Buffer.from(`${mark}\n`);
  }

  /** The mark has come. */
  get ended(): boolean {
    return this.#ended;
  }

  push(chunk: Buffer): SplitLine[] {
    if (this.#ended) return [];
    const lines: SplitLine[] = [];
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0 && !this.#ended; end = bytes.indexOf(newline, start)) {
      this.#take(bytes.subarray(start, end + 1), lines);
      start = end + 1;
    }
    this.#held = bytes.subarray(start);
    if (this.#held.length > limits.logLineBytesMax + this.#mark.length) this.#cut(lines);
    return lines;
  }

  /** The stream has ended without its mark. */
  finish(): SplitLine[] {
    const lines: SplitLine[] = [];
    if (!this.#ended && this.#held.length > 0) this.#emit(this.#held, lines);
    this.#ended = true;
    this.#held = Buffer.alloc(0);
    return lines;
  }

  #take(line: Buffer, lines: SplitLine[]): void {
    const rest = line.length - this.#mark.length;
    this.#ended = rest >= 0 && line.subarray(rest).equals(this.#mark);
    if (!this.#ended) this.#emit(line, lines);
    else if (rest > 0 || this.#droppedBytes !== undefined) this.#emit(line.subarray(0, rest), lines);
  }

  #emit(line: Buffer, lines: SplitLine[]): void {
    if (this.#droppedBytes === undefined && line.length <= limits.logLineBytesMax) {
      lines.push({ text: line.toString("utf8"), droppedBytes: 0 });
      return;
    }
    if (this.#droppedBytes === undefined) this.#beginCut(line, lines);
    else this.#droppedBytes += line.length;
    lines.push({ text: "", droppedBytes: this.#droppedBytes ?? 0 });
    this.#droppedBytes = undefined;
  }

  /** Keeps as much as may still turn out to be the mark. */
  #cut(lines: SplitLine[]): void {
    const keep = this.#held.length - this.#mark.length;
    const dropped = this.#held.subarray(0, keep);
    if (this.#droppedBytes === undefined) this.#beginCut(dropped, lines);
    else this.#droppedBytes += dropped.length;
    this.#held = Buffer.from(this.#held.subarray(keep));
  }

  #beginCut(line: Buffer, lines: SplitLine[]): void {
    lines.push({ text: `${line.subarray(0, limits.logLineBytesMax).toString("utf8")}\n`, droppedBytes: 0 });
    this.#droppedBytes = line.length - limits.logLineBytesMax;
  }
}
