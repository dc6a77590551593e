/** A log for what strangers can cause: the first time is told at once, repeats are counted and told once a second. */
import type { Logger } from "@biplane/kit/logging";

type Fields = Readonly<Record<string, string | number | undefined>>;

const intervalMs = 1_000;
/** Kinds of lines within one interval. Names that clients ask for are among them, so they have to be bounded. */
const kindsMax = 1_000;

export class CountedLog {
  readonly #log: Logger;
  readonly #repeats = new Map<string, number>();

  constructor(log: Logger) {
    this.#log = log;
  }

  note(level: "info" | "warn", fields: Fields, text: string): void {
    const key = JSON.stringify(fields);
    const repeats = this.#repeats.get(key);
    if (repeats !== undefined) {
      this.#repeats.set(key, repeats + 1);
    } else if (this.#repeats.size < kindsMax) {
      this.#repeats.set(key, 0);
      this.#log[level](fields, text);
      setTimeout(() => this.#tell(key, level, fields, text), intervalMs).unref();
    }
  }

  #tell(key: string, level: "info" | "warn", fields: Fields, text: string): void {
    const count = this.#repeats.get(key) ?? 0;
    this.#repeats.delete(key);
    if (count > 0) this.#log[level]({ ...fields, count }, text);
  }
}
