/** Load on a data plane's three addresses while their certificates change: each request over a connection of its own. */
import { Agent, request } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import type { TLSSocket } from "node:tls";

const pauseMs = 5;

export interface Knocking {
  readonly requests: number;
  readonly failures: readonly string[];
  /** Serial numbers of the certificates that were shown, by service. */
  readonly serials: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface KnockingOptions {
  /** Addresses by service. */
  readonly services: Readonly<Record<string, string>>;
  readonly rootPem: string;
  /** Asked over connections that stay open meanwhile. */
  readonly sessions?: Readonly<Record<string, () => Promise<unknown>>>;
  readonly isDone: (serials: Knocking["serials"]) => boolean;
}

export async function knock({
  services,
  rootPem,
  sessions = {},
  isDone,
}: KnockingOptions): Promise<Knocking> {
  const serials = new Map(Object.keys(services).map((name) => [name, new Set<string>()]));
  const failures: string[] = [];
  let requests = 0;
  const repeat = async (name: string, work: () => Promise<unknown>) => {
    while (!isDone(serials)) {
      requests += 1;
      await work().catch((error: unknown) => failures.push(`${name}: ${String(error)}`));
      await pause(pauseMs);
    }
  };
  const knocking = Object.entries(services).map(([name, address]) =>
    repeat(name, async () => serials.get(name)!.add(await serialOf(address, rootPem))),
  );
  await Promise.all([...knocking, ...Object.entries(sessions).map(([name, ask]) => repeat(name, ask))]);
  return { requests, failures, serials };
}

/** Any answer is one. */
function serialOf(address: string, rootPem: string): Promise<string> {
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 0, ca: rootPem });
  return new Promise((resolve, reject) => {
    const call = request(`${address}/healthz`, { agent }, (response) => {
      const serial = (response.socket as TLSSocket).getPeerCertificate().serialNumber;
      response.resume();
      response.once("end", () => resolve(serial));
      response.once("error", reject);
    });
    call.once("error", reject);
    call.end();
  });
}
