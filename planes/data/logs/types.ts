/** Log lines of attempts, as the rest of the data plane sees their store. */
import type { AttemptId } from "@biplane/base";

export type LogOriginator = "user" | "system";

export interface LogLine {
  readonly atMs: number;
  readonly originator: LogOriginator;
  /** One line as printed, its newline included where it had one; bytes that are no UTF-8 become U+FFFD. */
  readonly message: string;
}

/** Lines of one attempt, in order. `append` resolves when they are durable; call it with as many as there are. */
export interface LogWriter {
  append(lines: readonly LogLine[]): Promise<void>;
  /** No more lines: tails end once they have everything. */
  close(): Promise<void>;
}

export interface LogStore {
  open(attempt: AttemptId): Promise<LogWriter>;
  /** Whether anything was ever opened for the attempt. */
  has(attempt: AttemptId): Promise<boolean>;
  /** Everything so far, then each new batch, until the writer closes or the signal aborts. */
  tail(attempt: AttemptId, signal: AbortSignal): AsyncIterable<readonly LogLine[]>;
}
