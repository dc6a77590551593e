/** Two data planes, one organization, one control plane: what each of them serves, knows and refuses. */
import { once } from "node:events";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { createServer, type TLSSocket } from "node:tls";
import { Secret } from "@biplane/base";
import { audit, clusters, flyte, identity } from "@biplane/data-wire";
import { createClientTransport } from "@biplane/kit";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { connect, type RemoteClient, type RemoteRun } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FurtherCluster, startFurtherCluster } from "./further-cluster.ts";
import { requestToken } from "./sign-in.ts";
import { domain, org, type Profile, project, type System, startSystem } from "./system.ts";

const numbers = resolve(import.meta.dirname, "workflows/numbers.ts");
/** How soon what the authority decides counts in every cluster, over an honest link (claim IAM-3). */
const spreadMsMax = 1_000;

let system: System;
let paris: FurtherCluster;

beforeAll(async () => {
  system = await startSystem();
  paris = await startFurtherCluster(system, "paris");
  const client = await clientOf(paris.profilePath);
  await eventually(
    () => client.list(),
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

function clientOf(profile: string, cluster?: string): Promise<RemoteClient> {
  const secret = new Secret(system.client.secret);
  const credentials = { clientId: system.client.id, clientSecret: secret };
  return connect({ profile, project, domain, ...credentials, ...(cluster === undefined ? {} : { cluster }) });
}

/** To a router, with a token of the one sign-in, or another. */
function transportTo({ router }: Profile, token = system.token): Transport {
  return createClientTransport({
    baseUrl: router,
    tls: { authorityPem: system.profile.rootPem },
    interceptors: [
      (next) => async (call) => {
        call.header.set("authorization", `Bearer ${await token()}`);
        return next(call);
      },
    ],
  });
}

async function runOn(client: RemoteClient): Promise<RemoteRun> {
  const run = await client.run({ file: numbers, task: "add-one" }, { n: 41 });
  expect(await run.wait()).toMatchObject({ succeeded: true });
  expect(await run.outputs()).toBe(42);
  return run;
}

const idOf = (run: RemoteRun) => ({ org, project, domain, name: run.name });

describe("Two clusters of an organization", () => {
  let there: RemoteRun;
  let here: RemoteRun;

  test("are used by one sign-in; each request goes to its own cluster only (claim FLOW-6)", async () => {
    const home = await clientOf(system.profilePath);
    here = await runOn(home);
    // From the home cluster's profile: the other one is found in the signed list.
    const listed = await clientOf(system.profilePath, "paris");
    expect(listed.connection.profile.router).toBe(paris.profile.router);
    there = await runOn(listed);
    const seenBy = async (client: RemoteClient) => {
      const names = new Set<string>();
      for await (const { record } of client.connection.audit.readRecords({ plane: audit.AuditPlane.DATA })) {
        names.add((JSON.parse(Buffer.from(record).toString()) as { run?: string }).run ?? "");
      }
      return names;
    };
    const [atHome, inParis] = [await seenBy(home), await seenBy(listed)];
    expect([atHome.has(here.name), atHome.has(there.name)]).toEqual([true, false]);
    expect([inParis.has(here.name), inParis.has(there.name)]).toEqual([false, true]);
  });

  test("each names the other's router for the other's runs, and serves its own (claim FLOW-6)", async () => {
    for (const [asked, other, theirs, own] of [
      [system.profile, paris.profile, there, here],
      [paris.profile, system.profile, here, there],
    ] as const) {
      const runs = createClient(flyte.workflow.RunService, transportTo(asked));
      const select = createClient(flyte.cluster.ClusterService, transportTo(asked));
      const actionId = { run: idOf(theirs), name: "a0" };
      const watch = async () => {
        for await (const _ of runs.watchActionDetails({ actionId })) throw new Error("It was watched.");
      };
      for (const ask of [
        () => runs.getRunDetails({ runId: idOf(theirs) }),
        () => runs.abortRun({ runId: idOf(theirs) }),
        () => select.selectCluster({ resource: { case: "actionId", value: actionId } }),
        watch,
      ]) {
        await expect(ask()).rejects.toThrow(`[failed_precondition]`);
        await expect(ask()).rejects.toThrow(other.router);
      }
      const mine = { run: idOf(own), name: "a0" };
      const selected = await select.selectCluster({ resource: { case: "actionId", value: mine } });
      expect(selected.clusterEndpoint).toBe("");
      expect((await runs.getRunDetails({ runId: idOf(own) })).details?.action?.id?.run?.name).toBe(own.name);
      const nowhere = { ...idOf(own), name: "no-such-run" };
      await expect(runs.getRunDetails({ runId: nowhere })).rejects.toThrow("not_found");
    }
  });

  test("know the same people and policy: a role given at home counts in both, and ends in both (claims IAM-1, IAM-3)", async () => {
    const home = await clientOf(system.profilePath);
    const { key, secret } = await home.connection.apiKeys.createApiKey({ name: "both", role: "Viewer" });
    const credentials = { id: key!.id, secret };
    const token = await requestToken(system.profile, credentials);
    const runs = createClient(
      flyte.workflow.RunService,
      transportTo(paris.profile, async () => token),
    );
    const scope = { case: "projectId", value: { organization: org, name: project, domain } } as const;
    const list = () => runs.listRuns({ request: { limit: 1 }, scopeBy: scope });
    await eventually(list, () => true, { withinMs: spreadMsMax, what: "The new key's role in Paris" });
    await home.connection.apiKeys.deleteApiKey({ id: key!.id });
    const refused = () => list().then(() => "let in", String);
    const isRevoked = (answer: string) => answer.includes("unauthenticated");
    await eventually(refused, isRevoked, { withinMs: spreadMsMax, what: "The revocation in Paris" });
  });

  test("believe the authority's new keys once it signs by them, and the old ones for as long as their tokens last", async () => {
    const before = await system.token();
    const authority = createClient(identity.AuthorityService, transportTo(system.profile));
    await authority.rotateSigningKeys({});
    const after = await requestToken(system.profile, system.client);
    const kidOf = (token: string) =>
      JSON.parse(Buffer.from(token.split(".")[0]!, "base64url").toString()).kid;
    expect(kidOf(after)).not.toBe(kidOf(before));
    for (const token of [after, before]) {
      const people = createClient(
        flyte.auth.IdentityService,
        transportTo(paris.profile, async () => token),
      );
      await eventually(
        () => people.userInfo({}),
        ({ subject }) => subject === system.client.id,
        {
          withinMs: spreadMsMax,
          what: "A token of another key being believed in Paris",
        },
      );
    }
  });

  test("have one authority, at home: the other one says where that is, and has no key of it", async () => {
    const users = createClient(identity.UserService, transportTo(paris.profile));
    const asked = users.createUser({ email: "eve@acme.test", name: "Eve", role: "Admin" });
    await expect(asked).rejects.toThrow(system.profile.router);
    const membership = createClient(clusters.MembershipService, transportTo(paris.profile));
    const code = membership.createJoinCode({
      cluster: "rome",
      router: "https://r:1",
      objects: "https://r:2",
    });
    await expect(code).rejects.toThrow(system.profile.router);
    const metadata = createClient(flyte.auth.AuthMetadataService, transportTo(paris.profile));
    expect((await metadata.getOAuth2Metadata({})).issuer).toBe(system.profile.authority);
  });
});

describe("An edge that ends TLS itself (claim TLS-4)", () => {
  /** Stands where the edge stood; forwards nothing, for it gets no request. */
  async function terminating(port: number, certificate: { certificatePem: string; privateKeyPem: string }) {
    const requests: string[] = [];
    const server = createServer(
      { cert: certificate.certificatePem, key: certificate.privateKeyPem, ALPNProtocols: ["h2", "http/1.1"] },
      (socket: TLSSocket) => {
        socket.on("error", () => {});
        socket.on("data", (bytes) => requests.push(bytes.toString("latin1")));
      },
    );
    await once(server.listen(port, "localhost"), "listening");
    return { server, requests, port: (server.address() as AddressInfo).port };
  }

  test("with a certificate that the machine trusts is refused by the profile; untouched, the edge works", async () => {
    const publicRoot = await createRootAuthority("A public authority", 3_600_000);
    const options = {
      commonName: "localhost",
      hosts: ["localhost"],
      uses: ["server"],
      lifetimeMs: 3_600_000,
    };
    const certificate = await issueCertificate(publicRoot, options as never);
    await paris.edge.stop();
    const impostor = await terminating(paris.ports.router, certificate);
    try {
      // The control of the impostor: whoever believes that authority, as browsers would, talks to it.
      await expectTrusted(impostor.port, publicRoot.certificatePem);
      impostor.requests.length = 0;
      const client = await clientOf(paris.profilePath);
      await expect(client.list()).rejects.toThrow("a certificate that this profile does not trust");
      expect(impostor.requests.join("")).not.toContain("Bearer");
    } finally {
      impostor.server.close();
      await paris.edge.start();
    }
    const client = await clientOf(paris.profilePath);
    const listed = await eventually(
      () => client.list(),
      (runs) => runs.length > 0,
      {
        withinMs: 30_000,
        what: "The second cluster being reached again",
      },
    );
    expect(listed.length).toBeGreaterThan(0);
  });

  function expectTrusted(port: number, ca: string): Promise<void> {
    return new Promise((done, failed) => {
      const call = request({ host: "localhost", port, ca, path: "/" });
      call.on("socket", (socket) => socket.on("secureConnect", () => done(void call.destroy())));
      call.on("error", failed);
      call.end();
    });
  }
});
