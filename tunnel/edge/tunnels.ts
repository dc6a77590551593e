/** Who serves which name right now: the connectors' open connections, by the names in their certificates. */
import type { TunnelConnection } from "./tunnel-connection.ts";

export class Tunnels {
  readonly #byName = new Map<string, Set<TunnelConnection>>();
  readonly #connections = new Set<TunnelConnection>();

  get connections(): ReadonlySet<TunnelConnection> {
    return this.#connections;
  }

  add(connection: TunnelConnection): void {
    this.#connections.add(connection);
    for (const name of connection.names) {
      const serving = this.#byName.get(name) ?? new Set();
      this.#byName.set(name, serving.add(connection));
    }
  }

  remove(connection: TunnelConnection): void {
    this.#connections.delete(connection);
    for (const name of connection.names) {
      const serving = this.#byName.get(name);
      serving?.delete(connection);
      if (serving?.size === 0) this.#byName.delete(name);
    }
  }

  /** The least busy connection that serves the name and was not tried already. */
  pick(name: string, tried: ReadonlySet<TunnelConnection>): TunnelConnection | undefined {
    let best: TunnelConnection | undefined;
    for (const connection of this.#byName.get(name) ?? []) {
      if (tried.has(connection) || !connection.hasRoom) continue;
      if (best === undefined || connection.streams < best.streams) best = connection;
    }
    return best;
  }
}
