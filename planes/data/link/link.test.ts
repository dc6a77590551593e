import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "@biplane/base";
import { AdmissionOutcome, IndexService, type Intent, IntentOutcome, Phase } from "@biplane/control-wire";
import { newKey, readFileIfAny } from "@biplane/kit";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  allow,
  createOrganization,
  enrollCluster,
  quiet,
  removeClusterFolders,
  startTestControlPlane,
  type TestCluster,
  type TestControlPlane,
} from "../../../tests/support/control-plane.ts";
import { type CuttingProxy, startCuttingProxy } from "../../../tests/support/cutting-proxy.ts";
import { actionOf, digestOf, domain, project, runOf } from "../../../tests/support/link-peer.ts";
import { MemoryOutbox } from "../../../tests/support/memory-outbox.ts";
import { noDocuments } from "../../../tests/support/no-documents.ts";
import { NotedAudit } from "../../../tests/support/noted-audit.ts";
import { principalOf } from "../../../tests/support/principal.ts";
import {
  type BorderLedger,
  enroll,
  type Link,
  openLedger,
  readEnrollment,
  startLink,
  writeEnrollment,
} from "./index.ts";

let folder: string;
let control: TestControlPlane;
let home: TestCluster;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-link-"));
  control = await startTestControlPlane({ folder: join(folder, "control") });
  home = await enrollCluster(control, await createOrganization("acme"), "home");
  await allow(control, home.organization);
  await index().createProject({ id: project });
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await control.close();
  await removeClusterFolders();
  await rm(folder, { recursive: true, force: true });
});

const index = () => createClient(IndexService, home.transportAs("ada"));
const ref = (name: string) => ({ org: "acme", project, domain, name });
const created = (name: string, fields: object = {}) =>
  ({ case: "runCreated", value: runOf(name, fields) }) as const;
const updated = (name: string, fields: object) =>
  ({ case: "runUpdated", value: runOf(name, fields) }) as const;
const action = (run: string, name: string, fields: object) =>
  ({ case: "actionUpdated", value: actionOf(run, name, fields) }) as const;

interface Started {
  readonly link: Link;
  readonly outbox: MemoryOutbox;
  readonly ledger: BorderLedger;
  readonly cluster: TestCluster;
  readonly intents: Intent[];
}

let clusterCount = 0;

async function startOne(
  options: { via?: CuttingProxy; outbox?: MemoryOutbox; clock?: { now(): number } } = {},
) {
  clusterCount += 1;
  const cluster = await enrollCluster(control, home.organization, `c${clusterCount}`);
  if (options.via !== undefined) {
    const linkAddress = `localhost:${options.via.port}`;
    await writeEnrollment(cluster.folder, { ...cluster.enrollment, linkAddress });
  }
  return startOn(cluster, options);
}

async function startOn(
  cluster: TestCluster,
  options: { outbox?: MemoryOutbox; clock?: { now(): number } },
): Promise<Started> {
  const outbox = options.outbox ?? new MemoryOutbox();
  const ledger = await openLedger({ folder: join(cluster.folder, `ledger-${Math.random()}`), key: newKey() });
  const audit = new NotedAudit();
  const intents: Intent[] = [];
  const link = await startLink({
    enrollmentFolder: cluster.folder,
    outbox,
    ledger,
    intents: {
      acceptIntent: async (intent) => {
        intents.push(intent);
        return IntentOutcome.ACCEPTED;
      },
    },
    records: audit.linkRecords(),
    documents: noDocuments,
    tokens: { controlToken: async ({ subject }) => new Secret(await cluster.organization.token(subject)) },
    hello: { routerAddress: "https://localhost:8443", region: "eu-test", softwareVersion: "0.1.0" },
    log: quiet,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  closing.push(
    () => ledger.close(),
    () => link.close(),
  );
  return { link, outbox, ledger, cluster, intents };
}

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error("It did not happen in time.");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function ledgerOf(ledger: BorderLedger, { run = "", last = 0 } = {}) {
  const entries = [];
  const query = { fromSequence: 0n, follow: false, run, last };
  for await (const entry of ledger.read(query, new AbortController().signal)) entries.push(entry);
  return entries;
}

test("a run goes up, is admitted, and its intent is answered and never asked again (rules of state 3 to 5)", async () => {
  const { outbox, intents, link, cluster } = await startOne();
  outbox.append(created("r-up"));
  await eventually(() => intents.length > 0);
  expect(outbox.admissions).toMatchObject([{ run: { name: "r-up" }, outcome: AdmissionOutcome.ADMITTED }]);
  expect(link.connected).toBe(true);
  outbox.append(updated("r-up", { phase: Phase.RUNNING }));
  await outbox.drained();
  await link.close();
  const again = await startOn(cluster, { outbox });
  await again.link.ready();
  outbox.append(updated("r-up", { phase: Phase.SUCCEEDED }));
  await outbox.drained();
  expect(again.intents).toEqual([]);
});

test("over many cuts at any byte nothing is lost, doubled or reordered (rule of state 8)", async () => {
  const seed = Date.now() % 1_000_000;
  let state = seed;
  const random = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const proxy = await startCuttingProxy(control.port);
  closing.push(() => proxy.close());
  const { outbox, intents, link } = await startOne({ via: proxy });
  await link.ready();
  await outbox.drained();
  // A batch of the longest kind has about 150 kB: some of them pass whole.
  proxy.bytesUntilCut = () => 3_000 + Math.floor(random() * 300_000);
  proxy.cut();
  const phases = [Phase.QUEUED, Phase.RUNNING, Phase.SUCCEEDED];
  for (let run = 0; run < 20; run += 1) {
    outbox.append(created(`r-cut-${run}`));
    for (const phase of phases) {
      for (let child = 0; child < 40; child += 1)
        outbox.append(action(`r-cut-${run}`, `a${child}`, { phase }));
    }
    outbox.append(updated(`r-cut-${run}`, { phase: Phase.RUNNING }));
    await new Promise((resolve) => setTimeout(resolve, random() * 100));
    if (random() < 0.3) proxy.cut();
  }
  await outbox.drained();
  proxy.bytesUntilCut = () => Number.POSITIVE_INFINITY;
  const message = `seed ${seed}`;
  expect(proxy.connectionCount, message).toBeGreaterThan(3);
  for (const run of [0, 7, 19]) {
    const { run: stored, phaseCounts } = await index().getRun({ run: ref(`r-cut-${run}`) });
    expect([stored?.phase, phaseCounts.map((one) => [one.phase, one.count])], message).toEqual([
      Phase.RUNNING,
      [[Phase.SUCCEEDED, 40n]],
    ]);
  }
  const cursors = outbox.cursors.map(Number);
  expect(cursors, message).toEqual([...cursors].sort((left, right) => left - right));
  const admitted = new Set(outbox.admissions.map(({ run, outcome }) => `${run.name} ${outcome}`));
  expect(admitted.size, message).toBe(20);
  await eventually(() => new Set(intents.map((intent) => intent.run?.name)).size === 20);
});

test("a control plane that was away gets everything, and answers again (rule of state 8)", async () => {
  const { outbox, link } = await startOne();
  outbox.append(created("r-before"));
  await outbox.drained();
  const restarting = control.restart();
  for (let count = 0; count < 50; count += 1) outbox.append(action("r-before", `a${count}`, {}));
  await restarting;
  await outbox.drained();
  await eventually(() => link.connected);
  const { actions } = await index().listActions({ run: ref("r-before") });
  expect(actions).toHaveLength(50);
});

test("a path that swallows everything is noticed, and left for a new one", { timeout: 120_000 }, async () => {
  const proxy = await startCuttingProxy(control.port);
  closing.push(() => proxy.close());
  const { outbox, link } = await startOne({ via: proxy });
  await link.ready();
  outbox.append(created("r-swallowed"));
  await outbox.drained();
  proxy.swallow();
  outbox.append(updated("r-swallowed", { phase: Phase.RUNNING }));
  await outbox.drained();
  expect(proxy.connectionCount).toBeGreaterThan(1);
  expect((await index().getRun({ run: ref("r-swallowed") })).run?.phase).toBe(Phase.RUNNING);
});

test("an outbox that no longer holds what is missing sends a snapshot (rule of state 8)", async () => {
  const cluster = await enrollCluster(control, home.organization, "older");
  const before = await startOn(cluster, { outbox: new MemoryOutbox("one") });
  before.outbox.append(created("r-snap"));
  await before.outbox.drained();
  await before.link.close();
  const outbox = new MemoryOutbox("one");
  outbox.snapshotOf = () => [updated("r-snap", { phase: Phase.RUNNING })];
  for (let count = 0; count < 10; count += 1) outbox.append(updated("r-snap", { phase: Phase.RUNNING }));
  await outbox.acknowledge(9n, []);
  const { outbox: after } = await startOn(cluster, { outbox });
  await after.drained();
  expect(outbox.snapshots).toBe(1);
  expect((await index().getRun({ run: ref("r-snap") })).run?.phase).toBe(Phase.RUNNING);
});

test("every message of the link is in the border ledger, in order and with its bytes (claim BORDER-1)", async () => {
  const { outbox, ledger, link, intents } = await startOne();
  outbox.append(created("r-ledger", { documentDigest: digestOf(5) }));
  await eventually(() => intents.length > 0);
  await link.index(principalOf("ada")).getRun({ run: ref("r-ledger") });
  await expect(link.index(principalOf("ada")).getProject({ id: "nowhere" })).rejects.toThrow(/not_found/);
  await eventually(async () => (await ledgerOf(ledger, { run: "r-ledger" })).length >= 6);
  const about = await ledgerOf(ledger, { run: "r-ledger" });
  expect(about.map((entry) => [entry.direction, entry.method.split("/")[1]])).toEqual(
    expect.arrayContaining([
      [1, "Connect"],
      [2, "Connect"],
      [1, "GetRun"],
      [2, "GetRun"],
    ]),
  );
  const all = await ledgerOf(ledger);
  expect(all.map((entry) => Number(entry.sequence))).toEqual(all.map((_, position) => position + 1));
  expect(all[0]?.headers.map(({ name }) => name)).toContain("content-type");
  expect(all[1]?.messageType).toBe("biplane.control.v1.ConnectRequest");
  expect(all.some((entry) => entry.messageType === "connect.Error")).toBe(true);
  expect(about.length).toBeLessThan(all.length);
  const sequences = (entries: typeof all) => entries.map((entry) => entry.sequence);
  expect(sequences(await ledgerOf(ledger, { last: 2 }))).toEqual(sequences(all.slice(-2)));
  expect(sequences(await ledgerOf(ledger, { run: "r-ledger", last: 1 }))).toEqual(sequences(about.slice(-1)));
  expect(sequences(await ledgerOf(ledger, { last: all.length + 1 }))).toEqual(sequences(all));
});

test("following the ledger goes on with each new message until it is aborted", async () => {
  const { outbox, ledger } = await startOne();
  const ending = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const entry of ledger.read(
      { fromSequence: 0n, follow: true, run: "r-follow" },
      ending.signal,
    )) {
      seen.push(entry.messageType);
    }
  })();
  outbox.append(created("r-follow"));
  await eventually(() => seen.length >= 3);
  ending.abort();
  await following;
});

test("what may not cross is held back before the ledger and the wire have it (claim CLS-2)", async () => {
  const { outbox, link, ledger } = await startOne();
  await link.ready();
  outbox.append(created("r-leak", { failureCode: "ValueError: patient 4711" }));
  await eventually(() => !link.connected);
  const texts = (await ledgerOf(ledger)).map((entry) => Buffer.from(entry.message).toString("latin1"));
  expect(texts.join()).not.toContain("4711");
  await expect(index().getRun({ run: ref("r-leak") })).rejects.toThrow(/not_found/);
});

test("certificates rotate under load with no failed call and no lost event (claim TLS-3)", async () => {
  const lived = 3_000;
  const short = await startTestControlPlane({ folder: join(folder, "short"), clusterCertificateMs: lived });
  closing.push(() => short.close());
  const cluster = await enrollCluster(short, await createOrganization("acme"), "rotating");
  await allow(short, cluster.organization);
  const ask = createClient(IndexService, cluster.transportAs("ada"));
  await ask.createProject({ id: project });
  const { link, outbox } = await startOn(cluster, {});
  await link.ready();
  const keys = new Set<string>();
  let calls = 0;
  while (keys.size < 4) {
    outbox.append(created(`r-load-${calls}`));
    await link.index(principalOf("ada")).listProjects({});
    expect(link.connected).toBe(true);
    keys.add((await readEnrollment(cluster.folder))!.identity.privateKeyPem);
    calls += 1;
  }
  await outbox.drained();
  const last = (await readEnrollment(cluster.folder))!.identity.certificatePem;
  const names = (pem: string) => new X509Certificate(pem).subjectAltName;
  expect(names(last)).toBe(names(cluster.enrollment.identity.certificatePem));
  // The control: the first certificate has ended by now, and opens nothing.
  await expect(ask.listProjects({})).rejects.toThrow(/./);
  expect((await link.index(principalOf("ada")).getRun({ run: ref("r-load-0") })).run?.run?.name).toBe(
    "r-load-0",
  );
});

test("enrollment believes only the authority that its code names, and tells others nothing", async () => {
  const code = JSON.parse(Buffer.from(await control.code("acme", "misled"), "base64url").toString("utf8"));
  const certificates = await home.organization.certificatesOf("misled");
  const other = new X509Certificate(certificates.root.certificatePem).raw.toString("base64url");
  const forged = Buffer.from(JSON.stringify({ ...code, root: other })).toString("base64url");
  const options = {
    org: "acme",
    cluster: "misled",
    certificates,
    controlTokenKeys: home.organization.tokenKeys,
    region: "eu-test",
    folder: join(folder, "misled"),
    ledger: { record: async () => {} },
    log: quiet,
  };
  await expect(enroll({ ...options, code: forged })).rejects.toThrow(
    /has no certificate of that control plane/,
  );
  expect(await readFileIfAny(join(folder, "misled", "enrollment.json"))).toBeUndefined();
  const control2 = Buffer.from(JSON.stringify(code)).toString("base64url");
  expect((await enroll({ ...options, code: control2 })).cluster).toBe("misled");
  await expect(enroll({ ...options, code: control2 })).rejects.toThrow(/code does not work/);
  await expect(enroll({ ...options, code: "what" })).rejects.toThrow(/can't be read/);
});
