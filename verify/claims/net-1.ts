/** NET-1: the data plane opens no inbound port. */
import { readFileSync } from "node:fs";
import type { Claim } from "../frame/claim.ts";
import { connectionsOf } from "../machine/connections.ts";
import { listenersOf } from "../machine/planes.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { startPlainEcho } from "../wire/plaintext.ts";

export const net1: Claim = {
  id: "NET-1",
  text: "The data plane opens no inbound port; all its connections are outbound.",
  from: "machine",

  async prove(subject, seen) {
    const { data, edge } = subject.planes;
    seen.none(
      "listed the listeners of the data plane and of all that it started",
      openPorts("data", data.pid),
    );
    seen.holds(
      "listed the edge's in the same way",
      openPorts("edge", edge.pid).length > 0,
      openPorts("edge", edge.pid).join("; "),
    );
    await plantedRun(subject);
    seen.note("a whole run went through, by way of the tunnel.");
    const inbound = connectionsOf(data.pid).filter(({ localPort }) => localPort < ephemeralPortMin());
    seen.none(
      "listed the data plane's connections; one that came in would end at a port of its own",
      inbound.map(({ localPort, remote }) => `${remote} is connected to port ${localPort}`),
    );
    const outbound = new Set(connectionsOf(data.pid).map(({ remote }) => remote));
    seen.holds("where its connections lead", outbound.size > 0, [...outbound].join(", "));
    seen.none("listed them again after the run", openPorts("data", data.pid));
  },

  async control(subject, seen) {
    const { server, port } = await startPlainEcho();
    const stop = subject.undo.add(() => server.close());
    const found = openPorts("data", process.pid);
    await stop();
    return seen.caught(
      `a process that listens on ${port}, looked at as if it were the data plane`,
      found,
      new RegExp(String(port)),
    );
  },
};

function openPorts(name: string, pid: number): string[] {
  return listenersOf([{ name, pid }]).map(({ owner, port }) => `${owner} listens on ${port}`);
}

function ephemeralPortMin(): number {
  return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
}
