import { DocumentKind } from "@biplane/control-wire";
import { createRootAuthority } from "@biplane/kit";
import {
  createAuthority,
  policyFor,
  type TestAuthority,
} from "@biplane/verify/hostile-control-plane/authority";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import { LinkPeer } from "../../../tests/support/link-peer.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";

afterAll(removeClusterFolders);

describeOnBothDatabases("documents at the control plane", (fresh) => {
  let control: TestControlPlane;
  let home: TestCluster;
  let branch: TestCluster;
  let authority: TestAuthority;
  const peers: LinkPeer[] = [];

  beforeAll(async () => {
    control = await startTestControlPlane(await fresh());
    const organization = await createOrganization("acme");
    home = await enrollCluster(control, organization, "home");
    branch = await enrollCluster(control, organization, "branch");
    authority = await createAuthority("acme", organization.root);
  });
  afterEach(() => {
    for (const peer of peers.splice(0)) peer.close();
  });
  afterAll(() => control.close());

  async function open(cluster: TestCluster): Promise<LinkPeer> {
    const peer = new LinkPeer(cluster);
    peers.push(peer);
    peer.hello();
    await peer.next("welcome");
    return peer;
  }
  const policy = (jws: string) => ({ case: "document", value: { kind: DocumentKind.POLICY, jws } }) as const;

  test("reach every connected cluster at once, and those that connect later (claim IAM-2)", async () => {
    const [sender, receiver] = [await open(home), await open(branch)];
    const first = await authority.sign("policy", 1, policyFor({ ada: "Admin" }));
    sender.send(policy(first));
    expect(await receiver.next("document")).toMatchObject({ kind: DocumentKind.POLICY, jws: first });
    expect((await sender.next("document")).jws).toBe(first);
    const second = await authority.sign("policy", 2, policyFor({ ada: "Viewer" }));
    sender.send(policy(second));
    expect((await receiver.next("document")).jws).toBe(second);
    await control.restart();
    const later = await open(branch);
    expect((await later.next("document")).jws).toBe(second);
  });

  test("are refused where the pinned root does not vouch for them, and the kept one stays (claims TRUST-1, TRUST-3)", async () => {
    const kept = await authority.sign("policy", 10, policyFor({ ada: "Admin" }));
    const peer = await open(home);
    await peer.next("document").catch(() => {});
    peer.send(policy(kept));
    expect((await peer.next("document")).jws).toBe(kept);
    const providers = await createAuthority("acme", await createRootAuthority("acme root", 3_600_000));
    const hour = 3_600;
    const now = Math.floor(Date.now() / 1_000);
    const all = policyFor({ mallory: "Admin" });
    const refused = {
      "signed under another root": await providers.sign("policy", 11, all),
      "of an older version": await authority.sign("policy", 9, all),
      "that forks the kept version": await authority.sign("policy", 10, all),
      expired: await authority.sign("policy", 11, all, { issuedAt: now - hour, expiresAt: now - 1 }),
      "of another organization": await authority.sign("policy", 11, all, { org: "other" }),
      "of another kind": await authority.sign("clusters", 11, { clusters: [] }),
      "with a field of its own": await authority.sign("policy", 11, { ...all, more: 1 } as never),
    };
    for (const [what, jws] of Object.entries(refused)) {
      peer.send(policy(jws));
      // The answer to a refusal is what is kept.
      expect((await peer.next("document")).jws, what).toBe(kept);
    }
    // Control: the same content, signed by the authority, is taken.
    const honest = await authority.sign("policy", 11, all);
    peer.send(policy(honest));
    expect((await peer.next("document")).jws).toBe(honest);
  });

  test("of one organization never reach another one (claim ISO-1)", async () => {
    const other = await enrollCluster(control, await createOrganization("other"), "home");
    const [sender, stranger] = [await open(home), await open(other)];
    await sender.next("document");
    const jws = await authority.sign("policy", 20, policyFor({ ada: "Admin" }));
    sender.send(policy(jws));
    await sender.next("document");
    stranger.send(policy(jws));
    // Neither what was pushed nor what is kept: the next message is a heartbeat or nothing.
    stranger.send({ case: "events", value: { incarnation: "first", events: [] } });
    expect((await stranger.nextOf(["ack", "document"])).case).toBe("ack");
    const rows = await control.state.store.asOrg("other", (transaction) =>
      transaction.selectFrom("signed_document").selectAll().execute(),
    );
    expect(rows).toEqual([]);
  });
});
