/** The control plane enforces the policy that the customer's authority signed, over real links and calls. */
import { IndexService } from "@biplane/control-wire";
import type { PolicyContent } from "@biplane/identity";
import { createClientTransport, systemClock } from "@biplane/kit";
import {
  createAuthority,
  policyFor,
  type TestAuthority,
} from "@biplane/verify/hostile-control-plane/authority";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import { domain, LinkPeer, project } from "../../../tests/support/link-peer.ts";
import { SignedDocuments } from "../documents/documents.ts";

let control: TestControlPlane;
let offsetMs = 0;
const organizations: Organization[] = [];

beforeAll(async () => {
  control = await startTestControlPlane({}, { now: () => systemClock.now() + offsetMs });
});
afterAll(async () => {
  for (const organization of organizations) organization.close();
  await control.close();
  await removeClusterFolders();
});

class Organization {
  readonly name: string;
  readonly cluster: TestCluster;
  readonly #authority: TestAuthority;
  #version = 0;
  #peer: LinkPeer | undefined;

  private constructor(name: string, cluster: TestCluster, authority: TestAuthority) {
    this.name = name;
    this.cluster = cluster;
    this.#authority = authority;
  }

  static async create(name: string): Promise<Organization> {
    const organization = await createOrganization(name);
    const cluster = await enrollCluster(control, organization, "home");
    const made = new Organization(name, cluster, await createAuthority(name, organization.root));
    organizations.push(made);
    return made;
  }

  sign(content: PolicyContent): Promise<string> {
    this.#version += 1;
    return this.#authority.sign("policy", this.#version, content);
  }

  /** Over the link, as a home cluster does. */
  async publish(content: PolicyContent): Promise<void> {
    const peer = this.#peer ?? new LinkPeer(this.cluster);
    if (this.#peer === undefined) await peer.open();
    this.#peer = peer;
    await peer.publishPolicy(await this.sign(content));
  }

  close(): void {
    this.#peer?.close();
  }

  index(subject: string, claims: Record<string, unknown> = {}) {
    const { enrollment, organization } = this.cluster;
    return createClient(
      IndexService,
      createClientTransport({
        baseUrl: `https://${enrollment.linkAddress}`,
        tls: { authorityPem: enrollment.providerRootPem, identity: enrollment.identity },
        interceptors: [
          (next) => async (request) => {
            request.header.set("authorization", `Bearer ${await organization.token(subject, claims)}`);
            return next(request);
          },
        ],
      }),
    );
  }

  async reasons(): Promise<unknown[]> {
    const records = [];
    for await (const record of (await control.state.audit.of(this.name)).readRecords()) {
      if (record.code.startsWith("INDEX_")) records.push(record.reason ?? record.decision);
    }
    return records;
  }
}

async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    const { code, metadata } = ConnectError.from(error);
    return metadata.get("biplane-reason") ?? Code[code];
  }
}

test("roles decide here as they do in the router, and each refusal is on record (claims IAM-2, AUD-1)", async () => {
  const acme = await Organization.create("acme");
  const assignments = [
    ...policyFor({ ada: "Admin", vic: "Viewer", des: "Deployer" }).assignments,
    {
      id: "a-team",
      principal: { kind: "group" as const, id: "team" },
      role: "Viewer",
      scope: { project, domain },
    },
  ];
  const roles = [{ name: "Deployer", permissions: ["task.deploy", "project.create"] }];
  await acme.publish({ roles, assignments, denied: [] });
  const id = project;
  expect(await outcomeOf(acme.index("vic").createProject({ id }))).toBe("not_permitted");
  expect(await outcomeOf(acme.index("des").createProject({ id }))).toBe("ok");
  expect(await outcomeOf(acme.index("des").getProject({ id }))).toBe("not_permitted");
  expect(await outcomeOf(acme.index("des").updateProject({ id, archived: false }))).toBe("not_permitted");
  expect(await outcomeOf(acme.index("ada").updateProject({ id, archived: false }))).toBe("ok");
  expect(await outcomeOf(acme.index("vic").listRuns({}))).toBe("ok");
  expect(await outcomeOf(acme.index("nobody").listProjects({}))).toBe("not_permitted");
  const inTeam = acme.index("tom", { groups: ["team"] });
  expect(await outcomeOf(inTeam.listRuns({ project, domain }))).toBe("ok");
  expect(await outcomeOf(inTeam.listRuns({ project }))).toBe("not_permitted");
  expect(await outcomeOf(acme.index("tom").listRuns({ project, domain }))).toBe("not_permitted");
  const run = { org: "other", project, domain, name: "r" };
  expect(await outcomeOf(acme.index("ada").getRun({ run }))).toBe("unknown");
  expect(await acme.reasons()).toEqual([
    ...["not_permitted", "allowed", "not_permitted", "not_permitted", "allowed", "allowed"],
    ...["not_permitted", "allowed", "not_permitted", "not_permitted", "unknown"],
  ]);
});

test("a task has its submitter's rights inside its own project-domain alone (claim IAM-4)", async () => {
  const acme = await Organization.create("tasks");
  await acme.publish(policyFor({ ada: "Admin" }));
  const attempt = { kind: "task", project, domain, run: "r", action: "a0" };
  const task = (submitter: string) => acme.index("task:x", { ...attempt, acting_for: submitter });
  expect(await outcomeOf(task("ada").place({ project, domain }))).not.toBe("not_permitted");
  expect(await outcomeOf(task("ada").place({ project: "other", domain }))).toBe("not_permitted");
  expect(await outcomeOf(task("ada").createProject({ id: "own" }))).toBe("not_permitted");
  expect(await outcomeOf(task("eve").place({ project, domain }))).toBe("not_permitted");
  expect(await outcomeOf(acme.index("ada").createProject({ id: "own" }))).toBe("ok");
});

describe("a token that was taken back is worth nothing here either (claim IAM-1)", () => {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const until = nowSeconds + 3_600;
  const claims = { origin: "token-of-ada", origin_iat: nowSeconds - 10, grant: "grant-of-ada" };

  test.each([
    ["subject", "ada"],
    ["grant", "grant-of-ada"],
    ["token", "token-of-ada"],
  ] as const)("by its %s", async (kind, id) => {
    const acme = await Organization.create(`denied-${kind}`);
    await acme.publish(policyFor({ ada: "Admin" }));
    expect(await outcomeOf(acme.index("ada", claims).listProjects({}))).toBe("ok");
    const denied = [{ kind, id, issuedUntil: nowSeconds, until }];
    await acme.publish({ ...policyFor({ ada: "Admin" }), denied });
    expect(await outcomeOf(acme.index("ada", claims).listProjects({}))).toBe("token_revoked");
    const later = { ...claims, origin: "other", grant: "other", origin_iat: nowSeconds + 1 };
    expect(await outcomeOf(acme.index("ada", later).listProjects({}))).toBe("ok");
  });
});

test("without a policy, and with one that has expired, nothing is decided (claim IAM-3)", async () => {
  const acme = await Organization.create("stale");
  const ask = () => outcomeOf(acme.index("ada").listProjects({}));
  expect(await ask()).toBe("policy_stale");
  await acme.publish(policyFor({ ada: "Admin" }));
  expect(await ask()).toBe("ok");
  offsetMs = 901_000;
  const then = Math.floor(Date.now() / 1_000) + 901;
  const tokenOfThen = { iat: then, exp: then + 300 };
  expect(await outcomeOf(acme.index("ada", tokenOfThen).listProjects({}))).toBe("policy_stale");
  offsetMs = 0;
  expect(await ask()).toBe("ok");
});

test("a policy that somebody else signed gives nobody anything (claim TRUST-1)", async () => {
  const acme = await Organization.create("forged");
  await acme.publish(policyFor({ ada: "Viewer" }));
  const stranger = await createOrganization("forged");
  const forged = await (await createAuthority("forged", stranger.root)).sign(
    "policy",
    99,
    policyFor({ ada: "Admin" }),
  );
  const documents = new SignedDocuments(control.state.store, control.state.audit, systemClock);
  expect(await documents.accept("forged", "policy", forged)).toMatchObject({ kind: "refused" });
  expect(await outcomeOf(acme.index("ada").createProject({ id: "mine" }))).toBe("not_permitted");
});

test("the first policy comes over the link; a call of that moment waits for it", async () => {
  const acme = await Organization.create("first");
  const peer = new LinkPeer(acme.cluster);
  await peer.open();
  const asked = outcomeOf(acme.index("ada").listProjects({}));
  await peer.publishPolicy(await acme.sign(policyFor({ ada: "Viewer" })));
  expect(await asked).toBe("ok");
  peer.close();
});
