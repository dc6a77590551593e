import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { choosePorts, freePorts, type Ports, requireKeptPorts } from "./settings.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

function occupy(port: number): Promise<void> {
  const server = createServer();
  servers.push(server);
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
}

async function somePorts(): Promise<Ports> {
  const [router, authority, objects, tunnel, link] = (await freePorts(5)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { router, authority, objects, tunnel, link };
}

test("ports that were asked for are in a row, and one that is taken is named with its purpose", async () => {
  const base = 28_443;
  expect(await choosePorts(base)).toMatchObject({ router: base, link: base + 4 });
  await occupy(base + 1);
  await expect(choosePorts(base)).rejects.toThrow(
    /Port 28444, which is for the authority, is taken.*--port-base/s,
  );
});

test("without a wish a taken port is evaded", async () => {
  await occupy((await choosePorts(undefined)).router);
  const ports = Object.values(await choosePorts(undefined));
  expect(new Set(ports).size).toBe(5);
});

test("a system keeps its ports: others are refused, and so is a start while one is taken", async () => {
  const ports = await somePorts();
  await requireKeptPorts("/state", ports, undefined);
  await requireKeptPorts("/state", ports, ports.router);
  await expect(requireKeptPorts("/state", ports, ports.router + 1)).rejects.toThrow(/keeps them.*--state/s);
  await occupy(ports.tunnel);
  await expect(requireKeptPorts("/state", ports, undefined)).rejects.toThrow(/for the tunnel, is taken/);
});
