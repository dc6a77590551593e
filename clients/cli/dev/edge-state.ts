/** What an edge reads at its start: its certificate from the provider, and its listeners, which know names of tunnels alone. */
import { join } from "node:path";
import { writeFileDurably } from "@biplane/kit/files";
import { runErrand } from "./plane-process.ts";
import { type LocalSettings, services } from "./settings.ts";

/** When one machine's system stops, everyone who might be waited for stops too. */
const drainMs = 300;

/** A new one each time; an edge that runs takes it over within a second. `control`: state of the control plane. */
export async function writeEdgeIdentity(control: string, folder: string): Promise<void> {
  const hosts = ["--host", "localhost", "--host", "127.0.0.1"];
  await runErrand("control", ["edge-identity", "--state", control, "--out", folder, ...hosts]);
}

export async function writeEdgeConfig({
  folder,
  org,
  cluster,
  ports,
}: LocalSettings & { readonly folder: string }): Promise<void> {
  const listeners = services.map((name) => ({
    name,
    host: "127.0.0.1",
    port: ports[name],
    tunnel: `${name}.${cluster}.${org}.tunnel.biplane.internal`,
  }));
  const config = { tunnel: { host: "127.0.0.1", port: ports.tunnel }, listeners, drainMs };
  await writeFileDurably(join(folder, "edge.json"), `${JSON.stringify(config, undefined, 2)}\n`);
}
