/** Two data planes, one organization, one control plane: what each of them serves, knows and refuses. */
import { resolve } from "node:path";
import { Secret } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit";
import { connect, type RemoteClient } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FurtherCluster, startFurtherCluster } from "./further-cluster.ts";
import { domain, org, project, type System, startSystem } from "./system.ts";

const numbers = resolve(import.meta.dirname, "workflows/numbers.ts");

let system: System;
let paris: FurtherCluster;
let client: RemoteClient;

beforeAll(async () => {
  system = await startSystem();
  paris = await startFurtherCluster(system, "paris");
  client = await connect({
    ...{ profile: paris.profilePath, project, domain, clientId: system.client.id },
    clientSecret: new Secret(system.client.secret),
  });
  await eventually(
    async () => client.list(),
    () => true,
    {
      withinMs: 30_000,
      what: "The second cluster answering by its authority's policy",
    },
  );
});
afterAll(async () => {
  await paris?.close();
  await system?.close();
});

/** To a router, with a token of the one sign-in. */
function transportTo(router: string): Transport {
  return createClientTransport({
    baseUrl: router,
    tls: { authorityPem: system.profile.rootPem },
    interceptors: [
      (next) => async (request) => {
        request.header.set("authorization", `Bearer ${await system.token()}`);
        return next(request);
      },
    ],
  });
}

describe("A second cluster of an organization", () => {
  test("takes the tokens of the one authority, and runs what it is given (claim FLOW-6)", async () => {
    const run = await client.run({ file: numbers, task: "add-one" }, { n: 41 });
    expect(await run.wait()).toMatchObject({ succeeded: true });
    expect(await run.outputs()).toBe(42);
    const here = createClient(flyte.workflow.RunService, transportTo(paris.profile.router));
    const runId = { org, project, domain, name: run.id.name };
    expect((await here.getRunDetails({ runId })).details?.action?.id?.run?.name).toBe(run.id.name);
  });
});
