/** A task that asks its sandbox's proxy for hosts, and tries the network without it. */
import { once } from "node:events";
import { connect } from "node:net";
import { task, z } from "@biplane/sdk";

const patienceMs = 10_000;

export const wayOut = task(
  {
    name: "way-out",
    input: z.object({ hosts: z.array(z.string()), addresses: z.array(z.string()) }),
    /** In the order of the inputs: the proxy's first line for each host, what came of each address. */
    output: z.object({ answers: z.array(z.string()), direct: z.array(z.string()) }),
  },
  async ({ hosts, addresses }) => ({
    answers: await Promise.all(hosts.map(askProxy)),
    direct: await Promise.all(addresses.map(dial)),
  }),
);

async function askProxy(host: string): Promise<string> {
  const proxy = process.env["HTTPS_PROXY"];
  if (proxy === undefined) return "This task has no proxy.";
  const { hostname, port } = new URL(proxy);
  const socket = connect(Number(port), hostname);
  socket.write(`CONNECT ${host} HTTP/1.1\r\nhost: proxy\r\n\r\n`);
  const [first] = (await once(socket, "data", { signal: AbortSignal.timeout(patienceMs) })) as [Buffer];
  socket.destroy();
  return first.toString("latin1").split("\r\n")[0] ?? "";
}

async function dial(address: string): Promise<string> {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(patienceMs) });
    return "connected";
  } catch (error) {
    return (error as { code?: string }).code ?? "no answer";
  } finally {
    socket.destroy();
  }
}
