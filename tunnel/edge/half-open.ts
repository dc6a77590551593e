/**
 * Bounds connections that have not proved themselves yet, in number and in time. Beyond the number the oldest gives
 * way: whoever means to talk is through within milliseconds, so that a flood of silent connections displaces itself.
 */
export interface HalfOpenOptions {
  readonly countMax: number;
  readonly waitMs: number;
  /** Called for a connection that waited too long or gave way; it closes it. */
  readonly onGivenUp: (connection: Destroyable, reason: "timeout" | "displaced") => void;
}

export interface Destroyable {
  destroy(): unknown;
}

export class HalfOpenConnections {
  readonly #options: HalfOpenOptions;
  /** In the order of arrival, which a Map keeps. */
  readonly #timers = new Map<Destroyable, NodeJS.Timeout>();

  constructor(options: HalfOpenOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#timers.size;
  }

  add(connection: Destroyable): void {
    const oldest = this.#timers.size >= this.#options.countMax ? this.#timers.keys().next().value : undefined;
    if (oldest !== undefined) this.#giveUp(oldest, "displaced");
    const timer = setTimeout(() => this.#giveUp(connection, "timeout"), this.#options.waitMs);
    this.#timers.set(connection, timer.unref());
  }

  /** The connection proved itself, or is gone. */
  remove(connection: Destroyable): void {
    clearTimeout(this.#timers.get(connection));
    this.#timers.delete(connection);
  }

  #giveUp(connection: Destroyable, reason: "timeout" | "displaced"): void {
    this.remove(connection);
    this.#options.onGivenUp(connection, reason);
  }
}
