/** `biplane edge`: reads options and state, runs the edge until it is told to end. */
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BiplaneError } from "@biplane/base";
import { wrongOption } from "@biplane/kit/config";
import { runUntilEnd } from "@biplane/kit/lifecycle";
import { createLogger } from "@biplane/kit/logging";
import { readEdgeConfig, readEdgeState } from "./config.ts";
import { startEdge } from "./edge.ts";

const usage = `biplane edge: the provider's end of the tunnel; forwards TLS connections without decrypting them

  --state DIR      folder with identity.crt, identity.key, clients-ca.crt, and revoked.txt if any
                   (BIPLANE_EDGE_STATE; default ~/.local/share/biplane/edge)
  --config FILE    listeners and their tunnel names, JSON (BIPLANE_EDGE_CONFIG; default DIR/edge.json)
  --stop-with-stdin   end when standard input does, as it does with the process that holds its other end
  --help           this text
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      state: { type: "string" },
      config: { type: "string" },
      "stop-with-stdin": { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(usage);
    return;
  }
  const { env } = process;
  const folder = values.state ?? env["BIPLANE_EDGE_STATE"] ?? join(homedir(), ".local/share/biplane/edge");
  const configPath = values.config ?? env["BIPLANE_EDGE_CONFIG"] ?? join(folder, "edge.json");
  const log = createLogger({ component: "edge" });
  const [config, state] = await Promise.all([readEdgeConfig(configPath), readEdgeState(folder)]);
  const edge = await startEdge({ config, state, log });
  process.stdout.write(
    `${JSON.stringify({ ready: true, tunnel: edge.tunnel, listeners: edge.listeners })}\n`,
  );
  await runUntilEnd(edge, log, {
    stateFolder: folder,
    stopWithInput: values["stop-with-stdin"],
    graceMs: (config.drainMs ?? 0) + 10_000,
  });
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const wrong = wrongOption(error);
    const text = error instanceof BiplaneError ? error.message : describe(error);
    process.stderr.write(`biplane edge: ${wrong ?? text}\n`);
    process.exit(error instanceof BiplaneError || wrong !== undefined ? 2 : 1);
  },
);

/** Node's own errors about sockets are fit for people; anything else is shown with its place. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? error.message : (error.stack ?? error.message);
}
