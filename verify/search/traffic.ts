/** Searches what was said over decrypted connections: as sent, and put together again from its frames. */
import { type Decrypted, http2Bodies } from "../wire/decrypted-link.ts";
import type { Finding, Searchable } from "./needles.ts";

export function searchTraffic(wanted: Searchable, { connections, headers }: Decrypted): Finding[] {
  const said = connections.flatMap(({ port, up, down }) =>
    [up, down].flatMap((direction) =>
      [direction, ...http2Bodies(direction).values()].flatMap((bytes) =>
        wanted.search(bytes, `what passed over port ${port}`),
      ),
    ),
  );
  return [...said, ...wanted.search(Buffer.from(headers.join("\n")), "headers")];
}

export function bytesOf({ connections }: Decrypted, ...ports: number[]): number {
  return connections
    .filter(({ port }) => ports.includes(port))
    .reduce((total, { up, down }) => total + up.length + down.length, 0);
}
