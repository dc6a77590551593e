import type { Logger } from "./logging.ts";

/** Whatever runs until it is closed. Closing twice is harmless; closing waits for work under way. */
export interface Closeable {
  close(): Promise<void>;
}

/** Closes what was started, newest first, each once, and goes on when one fails. */
export class Closers implements Closeable {
  readonly #stack: Closeable[] = [];
  #closing: Promise<void> | undefined;

  add<T extends Closeable>(resource: T): T {
    this.#stack.push(resource);
    return resource;
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const resource of this.#stack.reverse()) {
      try {
        await resource.close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "Some parts did not close.");
  }
}

/** Runs until SIGINT or SIGTERM, then closes; a second signal ends the process at once. */
export async function runUntilSignal(resource: Closeable, log: Logger, graceMs = 10_000): Promise<void> {
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, resolve);
  });
  log.info({ event: "closing", signal }, "closing");
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
  setTimeout(() => process.exit(1), graceMs).unref();
  await resource.close();
}
