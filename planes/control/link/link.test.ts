import { AdmissionOutcome, IndexService, IntentOutcome, Phase } from "@biplane/control-wire";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  allow,
  createOrganization,
  enrollCluster,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import {
  actionUpdated,
  digestOf,
  domain,
  event,
  LinkPeer,
  project,
  runCreated,
  runUpdated,
  snapshotBegin,
  snapshotEnd,
} from "../../../tests/support/link-peer.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";

afterAll(removeClusterFolders);

describeOnBothDatabases("the link", (fresh) => {
  let control: TestControlPlane;
  let home: TestCluster;
  const peers: LinkPeer[] = [];
  let clusterCount = 0;

  beforeAll(async () => {
    control = await startTestControlPlane(await fresh());
    home = await enrollCluster(control, await createOrganization("acme"), "home");
    await allow(control, home.organization);
    await index().createProject({ id: project, displayName: "Flights" });
  });
  afterEach(() => {
    for (const peer of peers.splice(0)) peer.close();
  });
  afterAll(() => control.close());

  const index = (subject = "subject-1") => createClient(IndexService, home.transportAs(subject));
  const ref = (name: string) => ({ org: "acme", project, domain, name });

  /** A cluster of its own for each test, so that no test sees another one's events. */
  async function newCluster(): Promise<TestCluster> {
    clusterCount += 1;
    return enrollCluster(control, home.organization, `c${clusterCount}`);
  }

  function peerOf(cluster: TestCluster, incarnation = "first"): LinkPeer {
    const peer = new LinkPeer(cluster, incarnation);
    peers.push(peer);
    return peer;
  }

  async function openPeer(cluster?: TestCluster): Promise<LinkPeer> {
    const peer = peerOf(cluster ?? (await newCluster()));
    await peer.open();
    return peer;
  }

  test("a created run is admitted, and its intent carries references only (rules of state 4 and 5)", async () => {
    const peer = await openPeer();
    peer.events([runCreated(3, "r-intent", { documentDigest: digestOf(9) })]);
    const ack = await peer.next("ack");
    expect(ack.cursor).toBe(3n);
    expect(ack.admissions.map((one) => [one.run?.name, one.outcome])).toEqual([
      ["r-intent", AdmissionOutcome.ADMITTED],
    ]);
    const intent = await peer.next("intent");
    expect(intent).toMatchObject({
      fence: 1n,
      createdBy: "subject-1",
      cluster: peer.cluster.enrollment.cluster,
    });
    expect([...intent.documentDigest]).toEqual([...digestOf(9)]);
    expect(intent.nonce).toHaveLength(16);
  });

  test("a name belongs to the first run that took it, also across clusters (rule of state 4)", async () => {
    const [one, two] = [await openPeer(), await openPeer()];
    one.events([runCreated(3, "r-taken", { documentDigest: digestOf(1) })]);
    await one.next("ack");
    two.events([runCreated(3, "r-taken", { documentDigest: digestOf(2) }), runCreated(4, "r-free")]);
    const outcomes = (await two.next("ack")).admissions.map((admission) => admission.outcome);
    expect(outcomes).toEqual([AdmissionOutcome.ALREADY_EXISTS, AdmissionOutcome.ADMITTED]);
    const { run } = await index().getRun({ run: ref("r-taken") });
    expect(run?.cluster).toBe(one.cluster.enrollment.cluster);
  });

  test("runs of unknown and of archived projects are refused", async () => {
    await index().createProject({ id: "attic", displayName: "" });
    await index().updateProject({ id: "attic", archived: true });
    const peer = await openPeer();
    const inProject = (id: string, name: string) => ({ run: { org: "acme", project: id, domain, name } });
    peer.events([
      runCreated(3, "x", inProject("nowhere", "r-nowhere")),
      runCreated(4, "x", inProject("attic", "r-attic")),
    ]);
    const outcomes = (await peer.next("ack")).admissions.map((admission) => admission.outcome);
    expect(outcomes).toEqual([AdmissionOutcome.UNKNOWN_PROJECT, AdmissionOutcome.PROJECT_ARCHIVED]);
  });

  test("runs of a project that is restricted to other regions are refused; lifted, they are admitted (claim RES-2)", async () => {
    await index().createProject({ id: "pinned", displayName: "" });
    const restrict = (...regions: string[]) => index().updateProject({ id: "pinned", regions: { regions } });
    const ask = async (number: number) => {
      const peer = await openPeer();
      const run = { org: "acme", project: "pinned", domain, name: `r-pinned-${number}` };
      peer.events([runCreated(3, "x", { run })]);
      return (await peer.next("ack")).admissions.map((admission) => admission.outcome);
    };
    expect((await restrict("us-*", "us-east-1")).project?.regions).toEqual(["us-*", "us-east-1"]);
    expect(await ask(1)).toEqual([AdmissionOutcome.REGION_NOT_ALLOWED]);
    await expect(index().place({ project: "pinned", domain })).rejects.toThrow(
      /restricted to us-\*, us-east-1/,
    );
    await restrict("eu-*");
    expect(await ask(2)).toEqual([AdmissionOutcome.ADMITTED]);
    await restrict("us-*");
    await index().updateProject({ id: "pinned", displayName: "Named" });
    expect(await ask(3), "another change leaves it").toEqual([AdmissionOutcome.REGION_NOT_ALLOWED]);
    // Control: lifted, the same cluster takes them.
    await restrict();
    expect(await ask(4)).toEqual([AdmissionOutcome.ADMITTED]);
    await expect(index().place({ project: "pinned", domain })).resolves.toBeDefined();
    await expect(restrict("Europe")).rejects.toThrow(/can't restrict regions/);
  });

  test("an organization's restriction holds for every project of it, beside the project's own (claim RES-2)", async () => {
    const restrictAll = (...regions: string[]) => index().updateOrganization({ regions: { regions } });
    await index().createProject({ id: "bound", displayName: "" });
    const ask = async (number: number) => {
      const peer = await openPeer();
      const run = { org: "acme", project: "bound", domain, name: `r-bound-${number}` };
      peer.events([runCreated(3, "x", { run })]);
      return (await peer.next("ack")).admissions.map((admission) => admission.outcome);
    };
    await restrictAll("us-*");
    expect((await index().getProject({ id: "bound" })).project?.organizationRegions).toEqual(["us-*"]);
    expect(await ask(1)).toEqual([AdmissionOutcome.REGION_NOT_ALLOWED]);
    await expect(index().place({ project: "bound", domain })).rejects.toThrow(
      /organization is restricted to us-\*/,
    );
    // A project that allows the region can't lift what holds for all.
    await index().updateProject({ id: "bound", regions: { regions: ["eu-*"] } });
    expect(await ask(2)).toEqual([AdmissionOutcome.REGION_NOT_ALLOWED]);
    await restrictAll("eu-*");
    expect(await ask(3)).toEqual([AdmissionOutcome.ADMITTED]);
    await index().updateProject({ id: "bound", regions: { regions: ["us-*"] } });
    expect(await ask(4), "nor may all widen what holds for one").toEqual([
      AdmissionOutcome.REGION_NOT_ALLOWED,
    ]);
    await restrictAll();
    await index().updateProject({ id: "bound", regions: { regions: [] } });
    expect(await ask(5)).toEqual([AdmissionOutcome.ADMITTED]);
    await expect(restrictAll("Europe")).rejects.toThrow(/can't restrict regions/);
  });

  test("an unanswered intent comes again at every connection, an answered one never (rule of state 5)", async () => {
    const cluster = await newCluster();
    const first = await openPeer(cluster);
    first.events([runCreated(3, "r-again"), runCreated(4, "r-answered")]);
    await first.next("ack");
    const intents = [await first.next("intent"), await first.next("intent")];
    const answered = intents.find((intent) => intent.run?.name === "r-answered")!;
    const { run, fence } = answered;
    first.send({ case: "intentAnswer", value: { run: run!, fence, outcome: IntentOutcome.ACCEPTED } });
    first.events([runUpdated(5, "r-answered", { phase: Phase.RUNNING })]);
    await first.next("ack");
    first.close();
    const second = peerOf(cluster);
    await second.open({ acknowledgedSequence: 5n });
    const again = await second.next("intent");
    expect([again.run?.name, again.fence]).toEqual(["r-again", 1n]);
    second.events([runUpdated(6, "r-again")]);
    expect((await second.next("ack")).cursor).toBe(6n);
  });

  test("an admission that was lost in a cut is given again, exactly for what was not acknowledged", async () => {
    const cluster = await newCluster();
    const first = await openPeer(cluster);
    first.events([
      runCreated(3, "r-known"),
      runCreated(4, "r-lost"),
      runCreated(5, "x", { run: { ...ref("r-refused"), project: "nowhere" } }),
    ]);
    await first.next("ack");
    first.close();
    const second = peerOf(cluster);
    second.hello({ acknowledgedSequence: 3n });
    expect(await second.next("welcome")).toMatchObject({ cursor: 5n, snapshotWanted: false });
    const repeated = (await second.next("ack")).admissions.map((one) => [one.run?.name, one.outcome]);
    expect(repeated).toEqual([
      ["r-refused", AdmissionOutcome.UNKNOWN_PROJECT],
      ["r-lost", AdmissionOutcome.ADMITTED],
    ]);
  });

  test("events that were applied are applied once, and a gap is refused (rule of state 8)", async () => {
    const cluster = await newCluster();
    const peer = await openPeer(cluster);
    const batch = [runCreated(3, "r-once"), runUpdated(4, "r-once", { phase: Phase.RUNNING })];
    peer.events(batch);
    await peer.next("ack");
    await peer.next("intent");
    peer.events([...batch, runUpdated(5, "r-once", { phase: Phase.SUCCEEDED })]);
    expect(await peer.next("ack")).toMatchObject({ cursor: 5n, admissions: [] });
    peer.events([runUpdated(7, "r-once", { phase: Phase.FAILED })]);
    expect(String(await peer.ended())).toContain("failed_precondition");
    expect((await index().getRun({ run: ref("r-once") })).run?.phase).toBe(Phase.SUCCEEDED);
    const next = peerOf(cluster);
    expect(await next.open()).toBe(5);
  });

  test("terminal phases of runs and actions never change (rule of state 6)", async () => {
    const peer = await openPeer();
    peer.events([
      runCreated(3, "r-final"),
      actionUpdated(4, "r-final", "a0", { phase: Phase.FAILED, failureCode: "OOMKilled" }),
      actionUpdated(5, "r-final", "a0", { phase: Phase.SUCCEEDED }),
      runUpdated(6, "r-final", { phase: Phase.FAILED }),
    ]);
    await peer.next("ack");
    await peer.next("intent");
    peer.events([
      runUpdated(7, "r-final", { phase: Phase.SUCCEEDED }),
      actionUpdated(8, "r-final", "a0", { phase: Phase.RUNNING }),
    ]);
    expect((await peer.next("ack")).cursor).toBe(8n);
    const { run } = await index().getRun({ run: ref("r-final") });
    const { actions } = await index().listActions({ run: ref("r-final") });
    expect([run?.phase, actions[0]?.phase, actions[0]?.failureCode]).toEqual([
      Phase.FAILED,
      Phase.FAILED,
      "OOMKilled",
    ]);
  });

  test("after a restore, open runs that the snapshot lacks are lost, and what ended stays (rule of state 8)", async () => {
    const cluster = await newCluster();
    const before = await openPeer(cluster);
    before.events([
      runCreated(3, "r-kept"),
      runCreated(4, "r-gone"),
      runCreated(5, "r-done"),
      actionUpdated(6, "r-kept", "a0"),
      actionUpdated(7, "r-kept", "forgotten"),
      actionUpdated(8, "r-gone", "a0"),
      runUpdated(9, "r-done", { phase: Phase.SUCCEEDED }),
    ]);
    await before.next("ack");
    const after = peerOf(cluster, "restored");
    after.hello();
    expect(await after.next("welcome")).toMatchObject({ cursor: 0n, snapshotWanted: true });
    after.events([
      snapshotBegin(1),
      runUpdated(2, "r-kept", { phase: Phase.RUNNING }),
      actionUpdated(3, "r-kept", "a0"),
      runUpdated(4, "r-done", { phase: Phase.RUNNING }),
      snapshotEnd(5),
    ]);
    await after.next("ack");
    const runs = await Promise.all(
      ["r-kept", "r-gone", "r-done"].map(async (name) => (await index().getRun({ run: ref(name) })).run!),
    );
    expect(runs.map((run) => [run.phase, run.failureCode])).toEqual([
      [Phase.RUNNING, ""],
      [Phase.FAILED, "lost_in_restore"],
      [Phase.SUCCEEDED, ""],
    ]);
    const namesOf = async (name: string) =>
      (await index().listActions({ run: ref(name) })).actions.map((action) => [action.name, action.phase]);
    expect(await namesOf("r-kept")).toEqual([["a0", Phase.RUNNING]]);
    expect(await namesOf("r-gone")).toEqual([["a0", Phase.FAILED]]);
    const old = peerOf(cluster, "first");
    old.hello();
    expect(String(await old.ended())).toContain("replaced by a newer one");
  });

  test("a snapshot fills an index that has lost the runs (rule of state 8)", async () => {
    const peer = peerOf(await newCluster());
    peer.hello();
    await peer.next("welcome");
    peer.events([
      snapshotBegin(100),
      runUpdated(101, "r-refound", { phase: Phase.SUCCEEDED }),
      actionUpdated(102, "r-refound", "a0", { phase: Phase.SUCCEEDED }),
      snapshotEnd(103),
    ]);
    expect((await peer.next("ack")).cursor).toBe(103n);
    const { run, phaseCounts } = await index().getRun({ run: ref("r-refound") });
    expect(run?.phase).toBe(Phase.SUCCEEDED);
    expect(phaseCounts).toMatchObject([{ phase: Phase.SUCCEEDED, count: 1n }]);
  });

  test("a new incarnation has to begin with its snapshot", async () => {
    const peer = peerOf(await newCluster());
    peer.hello();
    await peer.next("welcome");
    peer.events([runCreated(1, "r-early")]);
    expect(String(await peer.ended())).toContain("needs a full snapshot");
  });

  test("a data plane whose database went back in time is refused", async () => {
    const cluster = await newCluster();
    const peer = await openPeer(cluster);
    peer.events([runCreated(3, "r-back")]);
    await peer.next("ack");
    const back = peerOf(cluster);
    back.hello({ lastSequence: 2n });
    expect(String(await back.ended())).toContain("went back in time");
  });

  test("a withdrawn run gives its name back, a begun one keeps it (rule of state 3)", async () => {
    const peer = await openPeer();
    const withdrawn = (sequence: number, name: string) =>
      event(sequence, { case: "runWithdrawn", value: ref(name) });
    peer.events([runCreated(3, "r-withdrawn"), runCreated(4, "r-begun"), runCreated(5, "r-granted")]);
    await peer.next("ack");
    for (let count = 0; count < 3; count += 1) {
      const { run, fence } = await peer.next("intent");
      if (run?.name === "r-withdrawn") continue;
      peer.send({ case: "intentAnswer", value: { run: run!, fence, outcome: IntentOutcome.ACCEPTED } });
    }
    peer.events([actionUpdated(6, "r-begun", "a0", { phase: Phase.QUEUED })]);
    await peer.next("ack");
    peer.events([
      withdrawn(7, "r-withdrawn"),
      withdrawn(8, "r-begun"),
      // Admitted when nobody waited for it any more, and asked for by nobody since.
      withdrawn(9, "r-granted"),
      runCreated(10, "r-withdrawn", { documentDigest: digestOf(3) }),
      runCreated(11, "r-granted", { documentDigest: digestOf(4) }),
    ]);
    const { admissions } = await peer.next("ack");
    const admitted = AdmissionOutcome.ADMITTED;
    expect(admissions.map((one) => one.outcome)).toEqual([admitted, admitted]);
    expect((await index().getRun({ run: ref("r-begun") })).run?.run?.name).toBe("r-begun");
  });

  test("an answer that nothing can be executed fails the run under its code (rule of state 5)", async () => {
    const peer = await openPeer();
    peer.events([runCreated(3, "r-missing")]);
    await peer.next("ack");
    const { run, fence } = await peer.next("intent");
    peer.send({ case: "intentAnswer", value: { run: run!, fence, outcome: IntentOutcome.DOCUMENT_MISSING } });
    peer.events([runUpdated(4, "r-other")]);
    await peer.next("ack");
    const answer = await index().getRun({ run: ref("r-missing") });
    expect(answer.run).toMatchObject({ phase: Phase.FAILED, failureCode: "document_missing" });
  });

  test("an expired intent is placed anew with a higher fence and another nonce", async () => {
    const peer = await openPeer();
    peer.events([runCreated(3, "r-late")]);
    await peer.next("ack");
    const first = await peer.next("intent");
    peer.send({
      case: "intentAnswer",
      value: { run: first.run!, fence: first.fence, outcome: IntentOutcome.EXPIRED },
    });
    const second = await peer.next("intent");
    expect([first.fence, second.fence]).toEqual([1n, 2n]);
    expect([...second.nonce]).not.toEqual([...first.nonce]);
  });

  test("a data plane that reads nothing for a while still gets every intent, each at least once", async () => {
    const peer = await openPeer();
    const names = Array.from({ length: 4_000 }, (_, count) => `r-jam-${count}`);
    for (let start = 0; start < names.length; start += 1_000) {
      const part = names.slice(start, start + 1_000);
      peer.events(part.map((name, offset) => runCreated(3 + start + offset, name)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const missing = new Set(names);
    while (missing.size > 0) {
      const message = await peer.nextOf(["ack", "intent"]);
      if (message.case !== "intent") continue;
      const { run, fence } = message.value;
      missing.delete(run!.name);
      peer.send({ case: "intentAnswer", value: { run, fence, outcome: IntentOutcome.ACCEPTED } });
    }
    peer.events([runUpdated(4_003, "r-jam-0", { phase: Phase.RUNNING })]);
    for (let cursor = 0n; cursor < 4_003n; ) {
      const message = await peer.nextOf(["ack", "intent"]);
      if (message.case === "ack") cursor = message.value.cursor;
    }
  });

  test("a newer connection of the same cluster ends the older one", async () => {
    const cluster = await newCluster();
    const older = await openPeer(cluster);
    const ended = older.ended();
    const newer = peerOf(cluster);
    expect(await newer.open()).toBe(2);
    expect(String(await ended)).toContain("newer connection");
  });

  test("a hello that names another cluster or organization than the certificate is refused", async () => {
    const cluster = await newCluster();
    for (const lie of [{ cluster: "home" }, { org: "other" }]) {
      const peer = peerOf(cluster);
      peer.hello(lie);
      expect(String(await peer.ended())).toContain("another cluster than its certificate");
    }
  });

  test("an unknown version of the protocol is refused with what to do", async () => {
    const peer = peerOf(await newCluster());
    peer.hello({ protocolVersion: 20200101 });
    expect(String(await peer.ended())).toContain("Update the data plane");
  });

  test("an action of a run that belongs to another cluster changes nothing", async () => {
    const [owner, other] = [await openPeer(), await openPeer()];
    owner.events([runCreated(3, "r-owned"), actionUpdated(4, "r-owned", "a0")]);
    await owner.next("ack");
    other.events([
      actionUpdated(3, "r-owned", "a0", { phase: Phase.FAILED }),
      actionUpdated(4, "r-owned", "intruder"),
      runUpdated(5, "r-owned", { phase: Phase.FAILED }),
    ]);
    await other.next("ack");
    const { actions } = await index().listActions({ run: ref("r-owned") });
    expect(actions.map((action) => [action.name, action.phase])).toEqual([["a0", Phase.RUNNING]]);
    expect((await index().getRun({ run: ref("r-owned") })).run?.phase).toBe(Phase.QUEUED);
  });
});
