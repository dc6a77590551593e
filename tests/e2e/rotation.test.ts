/** Short-lived certificates rotate under load, and nobody notices (claim TLS-3). */
import { Agent, request } from "node:https";
import type { TLSSocket } from "node:tls";
import { flyte } from "@biplane/data-wire";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { domain, org, project, type System, startSystem } from "./system.ts";

const lifetimeSeconds = 6;
const rotationsMin = 3;
const loadMsMax = 90_000;

let system: System;

beforeAll(async () => {
  const short = { BIPLANE_CERTIFICATE_SECONDS: String(lifetimeSeconds) };
  system = await startSystem({ environmentOf: { data: short } });
});
afterAll(() => system?.close());

/** One request over a connection of its own; resolves to the certificate's serial number. Any answer is one. */
function ask(address: string): Promise<string> {
  const agent = new Agent({ keepAlive: false, maxCachedSessions: 0, ca: system.profile.rootPem });
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

test("router, authority and object store change their certificates under load with no failed request", async () => {
  const { router, authority, objects } = system.profile;
  const services = { router, authority, objects };
  const serials = new Map(Object.keys(services).map((name) => [name, new Set<string>()]));
  const failures: string[] = [];
  let requests = 0;
  const deadline = Date.now() + loadMsMax;
  const isDone = () =>
    Date.now() > deadline || [...serials.values()].every((seen) => seen.size > rotationsMin);
  const knock = async (name: string, address: string) => {
    while (!isDone()) {
      requests += 1;
      await ask(address).then(
        (serial) => serials.get(name)!.add(serial),
        (error: unknown) => failures.push(`${name}: ${String(error)}`),
      );
    }
  };
  // One session that stays open over all of the changes.
  const runs = createClient(flyte.workflow.RunService, system.transport());
  const scopeBy = { case: "projectId", value: { organization: org, name: project, domain } } as const;
  const list = async () => {
    while (!isDone()) {
      requests += 1;
      await runs.listRuns({ request: { limit: 1 }, scopeBy }).catch((error: unknown) => {
        failures.push(`session: ${String(error)}`);
      });
    }
  };
  const knocking = Object.entries(services).map(([name, address]) => knock(name, address));
  await Promise.all([...knocking, list()]);
  expect(failures).toEqual([]);
  for (const [name, seen] of serials) expect(seen.size, name).toBeGreaterThan(rotationsMin);
  expect(requests).toBeGreaterThan(100);
});
