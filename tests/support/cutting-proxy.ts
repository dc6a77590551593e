/** A TCP path that can be cut: between two parties of a test, below their TLS. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface CuttingProxy {
  readonly port: number;
  connectionCount: number;
  /** Resets every connection now. */
  cut(): void;
  /** Swallows what the present connections carry, without ending them, as a path that lost its way does. */
  swallow(): void;
  /** Resets each connection after this many bytes in both directions together; Infinity for never. */
  bytesUntilCut: () => number;
  close(): Promise<void>;
}

export async function startCuttingProxy(targetPort: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  const settings = { connectionCount: 0, bytesUntilCut: () => Number.POSITIVE_INFINITY };
  const server = createServer((client) => {
    settings.connectionCount += 1;
    const target = connect(targetPort, "127.0.0.1");
    let left = settings.bytesUntilCut();
    const reset = () => {
      client.resetAndDestroy();
      target.resetAndDestroy();
    };
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.on("error", reset);
      from.on("close", () => sockets.delete(from));
      from.on("data", (chunk) => {
        left -= chunk.length;
        if (left < 0) return reset();
        if (!to.write(chunk)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
      });
      from.on("end", () => to.end());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const swallow = () => {
    for (const socket of sockets) {
      socket.removeAllListeners("data");
      socket.on("data", () => {});
    }
  };
  return Object.assign(settings, {
    port: (server.address() as AddressInfo).port,
    cut,
    swallow,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  });
}
