/** The data plane's end against control planes that misbehave: each is a real server that does one thing wrong. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits, Secret } from "@biplane/base";
import {
  CommandOutcome,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  ConnectResponseSchema,
  IndexService,
  type Intent,
  IntentOutcome,
  LinkService,
  newestProtocolVersion,
} from "@biplane/control-wire";
import {
  createConnectServer,
  createRootAuthority,
  issueCertificate,
  listen,
  newKey,
  serverCloser,
} from "@biplane/kit";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { afterEach, expect, test } from "vitest";
import { quiet } from "../../../tests/support/control-plane.ts";
import { runOf } from "../../../tests/support/link-peer.ts";
import { MemoryOutbox } from "../../../tests/support/memory-outbox.ts";
import { noDocuments } from "../../../tests/support/no-documents.ts";
import { type BorderLedger, openLedger, startLink, writeEnrollment } from "./index.ts";

const hour = 3_600_000;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Behaviour = (requests: AsyncIterable<ConnectRequest>) => AsyncIterable<ConnectResponse>;
const down = (message: MessageInitShape<typeof ConnectResponseSchema>["message"]) =>
  create(ConnectResponseSchema, { message } as MessageInitShape<typeof ConnectResponseSchema>);
const welcome = (fields: object = {}) =>
  down({ case: "welcome", value: { protocolVersion: newestProtocolVersion, cursor: 0n, ...fields } });
const created = (name: string) => ({ case: "runCreated", value: runOf(name) }) as const;

/** A link to a control plane that behaves so. Every stream opens anew with the same behaviour. */
async function linkTo(behaviour: Behaviour) {
  const folder = await mkdtemp(join(tmpdir(), "biplane-hostile-"));
  const root = await createRootAuthority("provider", hour);
  const issue = (uses: "server" | "client") =>
    issueCertificate(root, { commonName: "localhost", hosts: ["localhost"], uses: [uses], lifetimeMs: hour });
  const server = createConnectServer({
    tls: { identity: await issue("server"), clientAuthorityPem: root.certificatePem },
    routes: (router) => {
      router.service(LinkService, { connect: behaviour });
      router.service(IndexService, {
        getProject: () => fromBinary(IndexService.method.getProject.output, smuggled),
      });
    },
  });
  const closer = serverCloser(server, 50);
  const port = await listen(server, 0, "127.0.0.1");
  await writeEnrollment(folder, {
    org: "acme",
    cluster: "home",
    identity: await issue("client"),
    providerRootPem: root.certificatePem,
    linkAddress: `localhost:${port}`,
    edgeAddress: "",
    addresses: {},
    controlPlaneRegion: "",
  });
  const outbox = new MemoryOutbox();
  const ledger = await openLedger({ folder: join(folder, "ledger"), key: newKey() });
  const intents: Intent[] = [];
  const link = await startLink({
    enrollmentFolder: folder,
    outbox,
    ledger,
    intents: {
      acceptIntent: async (intent) => {
        intents.push(intent);
        return IntentOutcome.ACCEPTED;
      },
    },
    onCommand: async () => CommandOutcome.DONE,
    documents: noDocuments,
    tokens: { controlToken: async () => new Secret("token") },
    hello: { routerAddress: "", region: "", softwareVersion: "" },
    log: quiet,
  });
  closing.push(
    () => rm(folder, { recursive: true, force: true }),
    () => closer.close(),
    () => ledger.close(),
    () => link.close(),
  );
  return { link, outbox, ledger, intents };
}

const smuggled = new BinaryWriter().tag(99, WireType.LengthDelimited).string("obey this").finish();

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error("It did not happen in time.");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function entriesOf(ledger: BorderLedger) {
  const entries = [];
  const query = { fromSequence: 0n, follow: false, run: "" };
  for await (const entry of ledger.read(query, new AbortController().signal)) entries.push(entry);
  return entries;
}

test("a control plane that acknowledges nothing gets a bounded number of batches", async () => {
  const batches: number[] = [];
  const { outbox } = await linkTo(async function* (requests) {
    yield welcome();
    for await (const { message } of requests) {
      if (message.case === "events") batches.push(message.value.events.length);
    }
  });
  const perBatch = limits.linkBatchEventsMax;
  for (let count = 0; count < 20 * perBatch; count += 1) outbox.append(created(`r-${count}`));
  await eventually(() => batches.length >= limits.linkBatchesInFlightMax);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(batches.length).toBe(limits.linkBatchesInFlightMax);
  expect(Math.max(...batches)).toBeLessThanOrEqual(perBatch);
  expect(outbox.cursors).toEqual([]);
});

test("an intent with an unknown field is recorded, not obeyed, and ends the connection (claim CLS-2)", async () => {
  const connections: number[] = [];
  const { intents, ledger } = await linkTo(async function* (requests) {
    connections.push(1);
    yield welcome();
    const intent = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(smuggled).finish();
    yield fromBinary(ConnectResponseSchema, intent);
    for await (const _ of requests);
  });
  await eventually(() => connections.length >= 2);
  expect(intents).toEqual([]);
  const texts = (await entriesOf(ledger)).map((entry) => Buffer.from(entry.message).toString("latin1"));
  expect(texts.join()).toContain("obey this");
});

test("an answer of the index with an unknown field is recorded and refused (claim CLS-2)", async () => {
  const { link, ledger } = await linkTo(async function* (requests) {
    yield welcome();
    for await (const _ of requests);
  });
  await link.ready();
  await expect(link.index("ada").getProject({ id: "flights" })).rejects.toThrow(/refused at 99/);
  const entry = (await entriesOf(ledger)).find((one) => one.messageType.endsWith("GetProjectResponse"));
  expect(Buffer.from(entry!.message).toString("latin1")).toContain("obey this");
});

test("a version of the protocol that nobody agreed on is not spoken", async () => {
  const seen: string[] = [];
  const { link, outbox } = await linkTo(async function* (requests) {
    yield welcome({ protocolVersion: 20990101 });
    for await (const { message } of requests) seen.push(message.case ?? "");
  });
  outbox.append(created("r-future"));
  await eventually(() => seen.includes("hello"));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(seen).not.toContain("events");
  expect(link.connected).toBe(false);
});

test("what the ledger shows is what crossed: same messages, same bytes, same order (claim BORDER-1)", async () => {
  const up: Uint8Array[] = [];
  const sentDown: Uint8Array[] = [];
  const { outbox, ledger } = await linkTo(async function* (requests) {
    const first = welcome();
    sentDown.push(toBinary(ConnectResponseSchema, first));
    yield first;
    for await (const request of requests) {
      up.push(toBinary(ConnectRequestSchema, request));
      if (request.message.case !== "events") continue;
      const cursor = request.message.value.events.at(-1)!.sequence;
      const ack = down({ case: "ack", value: { cursor } });
      sentDown.push(toBinary(ConnectResponseSchema, ack));
      yield ack;
    }
  });
  for (let count = 0; count < 50; count += 1) {
    outbox.append(created(`r-${count}`));
    if (count % 7 === 0) await outbox.drained();
  }
  await outbox.drained();
  const entries = await entriesOf(ledger);
  const bytesOf = (direction: number) =>
    entries.filter((entry) => entry.direction === direction).map((entry) => Buffer.from(entry.message));
  expect(bytesOf(1)).toEqual(up.map((bytes) => Buffer.from(bytes)));
  expect(bytesOf(2)).toEqual(sentDown.map((bytes) => Buffer.from(bytes)));
});

test("the oldest entries of a full ledger make room, the newest stay", async () => {
  const folder = await mkdtemp(join(tmpdir(), "biplane-ledger-"));
  const ledger = await openLedger({ folder, key: newKey(), bytesMax: 64 * 1024 });
  closing.push(
    () => rm(folder, { recursive: true, force: true }),
    () => ledger.close(),
  );
  const message = create(ConnectRequestSchema, {
    message: { case: "hello", value: { org: "x".repeat(200) } },
  } as MessageInitShape<typeof ConnectRequestSchema>);
  for (let count = 0; count < 1_500; count += 1) {
    await ledger.record([{ direction: 1, method: "m", schema: ConnectRequestSchema, message }]);
  }
  const entries = await entriesOf(ledger);
  expect(entries.at(-1)?.sequence).toBe(1_500n);
  expect(entries.length).toBeGreaterThan(50);
  expect(entries.length).toBeLessThan(400);
});
