/** Opens the task's ways out: `fetch` and `node:https` in this process, a proxy for whatever the task starts. */
import { fetchByTunnel } from "./fetch.ts";
import { serveRelay } from "./relay.ts";
import { createTunnels, type EgressPlace } from "./tunnel.ts";

export interface EgressOptions extends EgressPlace {
  /** Of the proxy, on the sandbox's loopback. */
  readonly port: number;
}

export function openEgress({ port, ...place }: EgressOptions): void {
  const open = createTunnels(place);
  const direct = new Set((process.env["NO_PROXY"] ?? "").split(","));
  void serveRelay(port, open);
  fetchByTunnel(open, (hostname) => direct.has(hostname));
  // What Node itself does for it when it starts: https://nodejs.org/api/https.html#new-agentoptions. The module itself: a
  // snapshot has a copy of its names only.
  const https = process.getBuiltinModule("node:https");
  https.globalAgent = new https.Agent({ keepAlive: true, timeout: 5_000, proxyEnv: process.env });
  // For programs that the task starts.
  process.env["NODE_USE_ENV_PROXY"] = "1";
}
