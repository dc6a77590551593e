/** What a local system keeps between starts: its names and the ports that its profile promises to clients. */
import { createServer } from "node:net";
import { join } from "node:path";
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
  const wanted = portNames.map((_, index) => (base ?? defaultPortBase) + index);
  const areFree = base !== undefined || (await Promise.all(wanted.map(isFree))).every(Boolean);
  const ports = areFree ? wanted : await freePorts(portNames.length);
  return Object.fromEntries(portNames.map((name, index) => [name, ports[index]])) as unknown as Ports;
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
