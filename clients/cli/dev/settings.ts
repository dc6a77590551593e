/** What a local system keeps between starts: its names and the ports that its profile promises to clients. */
import { createServer } from "node:net";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { z } from "zod";

/** Of the data plane, each under a name of its own. */
export const services = ["router", "authority", "objects"] as const;
export const portNames = [...services, "tunnel", "link"] as const;
export type PortName = (typeof portNames)[number];
export type Ports = Readonly<Record<PortName, number>>;

const settingsSchema = z.object({
  org: z.string(),
  cluster: z.string(),
  ports: z.object({
    router: z.int(),
    authority: z.int(),
    objects: z.int(),
    tunnel: z.int(),
    link: z.int(),
  }),
});
export type LocalSettings = z.infer<typeof settingsSchema>;

export const defaultPortBase = 8443;

export async function readSettings(folder: string): Promise<LocalSettings | undefined> {
  const bytes = await readFileIfAny(settingsPath(folder));
  return bytes === undefined ? undefined : settingsSchema.parse(JSON.parse(bytes.toString("utf8")));
}

export async function writeSettings(folder: string, settings: LocalSettings): Promise<void> {
  await writeFileDurably(settingsPath(folder), `${JSON.stringify(settings, undefined, 2)}\n`);
}

function settingsPath(folder: string): string {
  return join(folder, "system.json");
}

/** Five ports in a row from the base; where no base was asked for and one is taken, free ones instead. */
export async function choosePorts(base: number | undefined): Promise<Ports> {
  const wanted = portsFrom(portNames.map((_, index) => (base ?? defaultPortBase) + index));
  const taken = await takenPort(wanted);
  if (taken === undefined) return wanted;
  if (base !== undefined)
    throw isTaken(taken, wanted, "Stop what listens there, or pass another --port-base.");
  return portsFrom(await freePorts(portNames.length));
}

/** For a system that was made before: it can be had at no other ports, since its clients know these. */
export async function requireKeptPorts(
  folder: string,
  ports: Ports,
  base: number | undefined,
): Promise<void> {
  const elsewhere = "give another folder by --state for a system at other ports.";
  if (base !== undefined && base !== ports.router) {
    throw new BiplaneError("failed_precondition", {
      what: `The system in ${folder} has the ports from ${ports.router} on, and keeps them.`,
      why: "Its certificates, and the profiles that clients have of it, name them.",
      next: `Leave --port-base out, or ${elsewhere}`,
    });
  }
  const taken = await takenPort(ports);
  if (taken === undefined) return;
  throw isTaken(
    taken,
    ports,
    `Stop what listens there, a \`biplane dev\` of before perhaps, or ${elsewhere}`,
  );
}

async function takenPort(ports: Ports): Promise<PortName | undefined> {
  const free = await Promise.all(portNames.map((name) => isFree(ports[name])));
  return portNames.find((_, index) => !free[index]);
}

function isTaken(name: PortName, ports: Ports, next: string): BiplaneError {
  const what = `Port ${ports[name]}, which is for the ${name}, is taken by another program.`;
  return new BiplaneError("failed_precondition", { what, next });
}

function portsFrom(numbers: readonly number[]): Ports {
  return Object.fromEntries(portNames.map((name, index) => [name, numbers[index]])) as unknown as Ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Ports that nobody listens on. Held all at once, so that no number comes twice. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function listenAnywhere(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}
