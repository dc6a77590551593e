import { IndexService, Phase } from "@biplane/control-wire";
import { fingerprint } from "@biplane/kit/certificates";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
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
  actionOf,
  actionUpdated,
  digestOf,
  domain,
  event,
  LinkPeer,
  project,
  runCreated,
  runUpdated,
} from "../../../tests/support/link-peer.ts";
import { describeOnBothDatabases } from "../../../tests/support/postgres.ts";

afterAll(removeClusterFolders);

describeOnBothDatabases("the index", (fresh) => {
  let control: TestControlPlane;
  let home: TestCluster;
  let peer: LinkPeer;
  let sequence = 2;
  const index = () => createClient(IndexService, home.transportAs("ada"));
  const ref = (name: string) => ({ org: "", project, domain, name });
  const at = (ms: number) => ({ createdAt: timestampFromMs(1_700_000_000_000 + ms) });

  /** Sends events, each with the next number, and waits until they are on record. */
  async function report(...events: ((sequence: number) => ReturnType<typeof event>)[]): Promise<void> {
    const numbered = events.map((make) => {
      sequence += 1;
      return make(sequence);
    });
    peer.events(numbered);
    for (let cursor = 0n; cursor < BigInt(sequence); ) {
      const message = await peer.nextOf(["ack", "intent"]);
      if (message.case === "ack") cursor = message.value.cursor;
    }
  }

  beforeAll(async () => {
    control = await startTestControlPlane(await fresh());
    home = await enrollCluster(control, await createOrganization("acme"), "home");
    await allow(control, home.organization);
    for (const id of [project, "other"]) await index().createProject({ id, displayName: `Project ${id}` });
    peer = new LinkPeer(home);
    await peer.open();
  });
  afterAll(async () => {
    peer.close();
    await control.close();
  });

  test("runs are listed newest first, every one once over all pages", async () => {
    const names = Array.from({ length: 25 }, (_, count) => `r-page-${String(count).padStart(2, "0")}`);
    // Five runs share each instant, so that a page may end between equal times.
    await report(
      ...names.map((name, count) => (number: number) => runCreated(number, name, at(Math.floor(count / 5)))),
    );
    const seen: string[] = [];
    let cursor = "";
    do {
      const page = await index().listRuns({ project, domain, page: { limit: 7, cursor } });
      expect(page.runs.length).toBeLessThanOrEqual(7);
      seen.push(...page.runs.map((run) => run.run!.name));
      cursor = page.nextCursor;
    } while (cursor !== "");
    const newestFirst = [4, 3, 2, 1, 0].flatMap((instant) => names.slice(instant * 5, instant * 5 + 5));
    expect(seen).toEqual(newestFirst);
  });

  test("runs are filtered by project, phase and cluster", async () => {
    const inOther = { run: { org: "acme", project: "other", domain, name: "r-other" } };
    await report(
      (number) => runCreated(number, "r-other", inOther),
      (number) =>
        runUpdated(number, "r-other", { ...inOther, phase: Phase.FAILED, failureCode: "OOMKilled" }),
    );
    const namesOf = async (request: object) =>
      (await index().listRuns(request)).runs.map((run) => run.run!.name);
    expect(await namesOf({ project: "other" })).toEqual(["r-other"]);
    expect(await namesOf({ phases: [Phase.FAILED] })).toEqual(["r-other"]);
    expect(await namesOf({ project: "other", phases: [Phase.SUCCEEDED] })).toEqual([]);
    expect(await namesOf({ cluster: "nowhere" })).toEqual([]);
  });

  test("a cursor continues its own list and filters, and nothing else", async () => {
    const { nextCursor } = await index().listRuns({ project, page: { limit: 3 } });
    expect(nextCursor).not.toBe("");
    const stolen = [
      index().listRuns({ project: "other", page: { cursor: nextCursor } }),
      index().listTasks({ project, page: { cursor: nextCursor } }),
      index().listRuns({ project, page: { cursor: `${nextCursor.slice(0, -2)}AA` } }),
    ];
    for (const outcome of await Promise.allSettled(stolen)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { rawMessage: /does not belong/ } });
    }
    expect((await index().listRuns({ project, page: { limit: 3, cursor: nextCursor } })).runs).toHaveLength(
      3,
    );
  });

  test("actions and attempts of a run are listed with their counts by phase", async () => {
    const attempt = (number: number, name: string, count: number, phase: Phase) =>
      event(number, {
        case: "attemptUpdated",
        value: { run: actionOf("r-page-00", name).run, action: name, attempt: count, phase },
      });
    await report(
      (number) => actionUpdated(number, "r-page-00", "a0"),
      (number) => actionUpdated(number, "r-page-00", "a1", { phase: Phase.SUCCEEDED, attempt: 2 }),
      (number) => attempt(number, "a1", 1, Phase.FAILED),
      (number) => attempt(number, "a1", 2, Phase.SUCCEEDED),
      (number) => attempt(number, "a0", 1, Phase.RUNNING),
    );
    const { actions } = await index().listActions({ run: ref("r-page-00") });
    expect(actions.map((one) => [one.name, one.parent, one.phase, one.attempt])).toEqual([
      ["a0", "", Phase.RUNNING, 1],
      ["a1", "a0", Phase.SUCCEEDED, 2],
    ]);
    const { attempts } = await index().listAttempts({ run: ref("r-page-00") });
    expect(attempts.map((one) => [one.action, one.attempt, one.phase])).toEqual([
      ["a0", 1, Phase.RUNNING],
      ["a1", 1, Phase.FAILED],
      ["a1", 2, Phase.SUCCEEDED],
    ]);
    const first = await index().listAttempts({ run: ref("r-page-00"), page: { limit: 2 } });
    const rest = await index().listAttempts({
      run: ref("r-page-00"),
      page: { limit: 2, cursor: first.nextCursor },
    });
    expect([...first.attempts, ...rest.attempts]).toEqual(attempts);
    const { phaseCounts } = await index().getRun({ run: ref("r-page-00") });
    expect(phaseCounts.map((one) => [one.phase, one.count])).toEqual([
      [Phase.RUNNING, 1n],
      [Phase.SUCCEEDED, 1n],
    ]);
  });

  test("tasks are listed by name, the newest version first; a version's first facts stay", async () => {
    const deployed =
      (name: string, version: string, ms: number, byte = 1) =>
      (number: number) =>
        event(number, {
          case: "taskDeployed",
          value: {
            task: { org: "acme", project, domain, name, version },
            deployedAt: timestampFromMs(ms),
            deployedBy: "subject-1",
            specDigest: digestOf(byte),
          },
        });
    await report(deployed("b", "v1", 1_000), deployed("a", "v1", 2_000), deployed("a", "v2", 3_000));
    await report(deployed("a", "v2", 9_000, 2));
    const { tasks } = await index().listTasks({ project, domain });
    expect(tasks.map((one) => [one.task?.name, one.task?.version, timestampMs(one.deployedAt!)])).toEqual([
      ["a", "v2", 3_000],
      ["a", "v1", 2_000],
      ["b", "v1", 1_000],
    ]);
    expect([...tasks[0]!.specDigest]).toEqual([...digestOf(1)]);
    const pages = [];
    for (let cursor = ""; pages.length < 3; ) {
      const page = await index().listTasks({ project, domain, page: { limit: 1, cursor } });
      pages.push(...page.tasks);
      cursor = page.nextCursor;
    }
    expect(pages).toEqual(tasks);
  });

  test("a cluster shows whether it is connected, since when its state is known, and its certificate", async () => {
    const { clusters, controlPlaneRegion, rootFingerprint } = await index().listClusters({});
    expect(controlPlaneRegion).toBe("eu-test");
    expect(clusters).toMatchObject([
      { name: "home", connected: true, region: "eu-test", routerAddress: "https://localhost:8443" },
    ]);
    expect(clusters[0]!.certificateFingerprint).toHaveLength(32);
    // As the customer knows its own (claim TRUST-1): what is compared must not come from the customer's side.
    expect(Buffer.from(rootFingerprint).toString("hex")).toBe(
      fingerprint(home.organization.root.certificatePem),
    );
    expect(timestampMs(clusters[0]!.asOf!)).toBe(1_700_000_000_000 + sequence);
  });

  test("a run is placed on the asking cluster; unknown and archived projects are refused", async () => {
    expect(await index().place({ project, domain })).toMatchObject({
      cluster: "home",
      routerAddress: "https://localhost:8443",
    });
    await expect(index().place({ project: "nowhere", domain })).rejects.toThrow(/not_found/);
    await index().updateProject({ id: "other", archived: true });
    await expect(index().place({ project: "other", domain })).rejects.toThrow(/archived/);
  });

  test("projects keep their names, and change only what is asked", async () => {
    const renamed = await index().updateProject({ id: project, displayName: "Flights 2" });
    expect(renamed.project).toMatchObject({ displayName: "Flights 2", archived: false });
    await expect(index().createProject({ id: project })).rejects.toThrow(/already_exists/);
    await expect(index().createProject({ id: "Not A Label" })).rejects.toThrow(/not a valid project/);
    await expect(index().updateProject({ id: "nowhere", archived: true })).rejects.toThrow(/not_found/);
    const { projects } = await index().listProjects({});
    expect(projects.map((one) => one.id)).toEqual([project, "other"]);
    expect(projects[0]?.domains).toEqual(["development", "staging", "production"]);
  });
});
