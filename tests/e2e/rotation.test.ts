/** Short-lived certificates rotate under load, and nobody notices (claim TLS-3); a plane that stops tells its clients. */
import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { flyte } from "@biplane/data-wire";
import { knock } from "@biplane/verify/wire/knocking";
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

test("router, authority and object store change their certificates under load with no failed request", async () => {
  const { router, authority, objects, rootPem } = system.profile;
  const deadline = Date.now() + loadMsMax;
  const runs = createClient(flyte.workflow.RunService, system.transport());
  const scopeBy = { case: "projectId", value: { organization: org, name: project, domain } } as const;
  const { failures, serials, requests } = await knock({
    services: { router, authority, objects },
    rootPem,
    sessions: { session: () => runs.listRuns({ request: { limit: 1 }, scopeBy }) },
    isDone: (seen) => Date.now() > deadline || [...seen.values()].every(({ size }) => size > rotationsMin),
  });
  expect(failures).toEqual([]);
  for (const [name, seen] of serials) expect(seen.size, name).toBeGreaterThan(rotationsMin);
  expect(requests).toBeGreaterThan(100);
});

test("a data plane that stops says good-bye to clients that ask for nothing at the moment", async () => {
  const { router, rootPem } = system.profile;
  const session = connectHttp2(router, { ca: rootPem });
  await once(session, "connect");
  const goodBye = once(session, "goaway");
  await system.data.stop();
  // A connection that is cut when the time for good-byes is over has none.
  expect((await goodBye)[0]).toBe(constants.NGHTTP2_NO_ERROR);
});
