/**
 * The first process of a sandbox whose program is no worker: it serves the proxy that the environment names, starts the
 * program, and ends as the program ended. Arguments: port, the data plane's name, the program and its arguments.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { serveRelay } from "./egress/relay.ts";
import { createTunnels } from "./egress/tunnel.ts";

/** As shells say that there is no such program. */
const notFound = 127;

const [port = "", host = "", program = "", ...parameters] = process.argv.slice(2);
const socketFolder = process.env["BIPLANE_SOCKETS"] ?? "/run/biplane";
await serveRelay(Number(port), createTunnels({ socketFolder, host }));
const child = spawn(program, parameters, { stdio: "inherit" });
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
child.once("error", ({ message }) => {
  process.stderr.write(`${message}\n`);
  process.exit(notFound);
});
child.once("exit", (code, signal) => {
  // A process may ignore a signal that it sends itself; shells say it by this number.
  process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
});
