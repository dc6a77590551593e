/** TLS-2: TLS 1.2 at least, 1.3 by default, forward-secret AEAD suites only. */
import type { AddressInfo } from "node:net";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { listenersOf } from "../machine/planes.ts";
import { startWeakServer, tryHandshakes } from "../wire/handshakes.ts";

export const tls2: Claim = {
  id: "TLS-2",
  text: "TLS 1.2 is the minimum, 1.3 the default, with forward-secret AEAD suites only.",
  from: "client",

  async prove(subject, seen) {
    for (const { name, port } of places(subject)) {
      const { usual, tried, weaknesses } = await tryHandshakes(port);
      seen.none(`${name}: ${usual} with an ordinary client, and ${tried - 1} weak offers`, weaknesses);
    }
  },

  async control(subject, seen) {
    const server = await startWeakServer();
    const stop = subject.undo.add(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { weaknesses } = await tryHandshakes(port);
    await stop();
    return (
      seen.caught("a server that speaks TLS 1.0", weaknesses, /TLSv1 was taken/) &&
      seen.caught(
        "the same server's suites without forward secrecy or AEAD",
        weaknesses,
        /CBC|-SHA |SHA was taken/,
      )
    );
  },
};

/** Every listener where the planes run here; the public ones otherwise. */
function places(subject: Subject): { name: string; port: number }[] {
  if (subject.remoteBecause === undefined) {
    return listenersOf(Object.values(subject.planes)).map(({ owner, port }) => ({
      name: `${owner} at ${port}`,
      port,
    }));
  }
  const { router, authority, objects } = subject.connection.profile;
  return Object.entries({ router, authority, objects }).map(([name, address]) => ({
    name,
    port: Number(new URL(address).port || 443),
  }));
}
