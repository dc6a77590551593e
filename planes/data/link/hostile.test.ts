/** The data plane's end against control planes that misbehave: each is a real server that does one thing wrong. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "@biplane/base";
import {
  ConnectRequestSchema,
  type ConnectResponse,
  ConnectResponseSchema,
  IndexService,
} from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { newKey } from "@biplane/kit";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { afterEach, expect, test } from "vitest";
import { runOf } from "../../../tests/support/link-peer.ts";
import { linkToControlPlane } from "../../../tests/support/linked-data-plane.ts";
import { principalOf } from "../../../tests/support/principal.ts";
import { type Behaviour, down, welcome } from "../../../tests/support/scripted-control-plane.ts";
import { type BorderLedger, openLedger } from "./index.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A link to a control plane that behaves so, whose index smuggles something into its answer. */
async function linkTo(behaviour: Behaviour) {
  const linked = await linkToControlPlane(behaviour, {
    index: { getProject: () => fromBinary(IndexService.method.getProject.output, smuggled) },
  });
  closing.push(() => linked.close());
  return linked;
}

const created = (name: string) => ({ case: "runCreated", value: runOf(name) }) as const;

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
  const { intents, ledger, audit } = await linkTo(async function* (requests) {
    connections.push(1);
    yield welcome();
    const intent = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(smuggled).finish();
    yield fromBinary(ConnectResponseSchema, intent);
    for await (const _ of requests);
  });
  await eventually(() => connections.length >= 2);
  expect(intents).toEqual([]);
  expect(audit.reasons("LINK_REFUSED")).toContain("unfit_message");
  const texts = (await entriesOf(ledger)).map((entry) => Buffer.from(entry.message).toString("latin1"));
  expect(texts.join()).toContain("obey this");
});

test("a command in a user's name, as control planes once had, is no message of the link (claim TRUST-1)", async () => {
  const { intents, audit } = await linkTo(async function* (requests) {
    yield welcome();
    const run = new BinaryWriter().tag(1, WireType.LengthDelimited).string("acme").finish();
    const abort = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(run);
    const requested = abort.tag(2, WireType.LengthDelimited).string("ada").finish();
    const command = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(requested).finish();
    yield fromBinary(
      ConnectResponseSchema,
      new BinaryWriter().tag(4, WireType.LengthDelimited).bytes(command).finish(),
    );
    for await (const _ of requests);
  });
  await eventually(() => audit.reasons("LINK_REFUSED").length >= 1);
  expect(audit.reasons("LINK_REFUSED")[0]).toBe("unfit_message");
  expect(intents).toEqual([]);
});

test("an answer of the index with an unknown field is recorded and refused (claim CLS-2)", async () => {
  const { link, ledger } = await linkTo(async function* (requests) {
    yield welcome();
    for await (const _ of requests);
  });
  await link.ready();
  await expect(link.index(principalOf("ada")).getProject({ id: "flights" })).rejects.toThrow(/refused at 99/);
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
    yield first;
    sentDown.push(toBinary(ConnectResponseSchema, first));
    for await (const request of requests) {
      up.push(toBinary(ConnectRequestSchema, request));
      if (request.message.case !== "events") continue;
      const cursor = request.message.value.events.at(-1)!.sequence;
      const ack = down({ case: "ack", value: { cursor } });
      yield ack;
      sentDown.push(toBinary(ConnectResponseSchema, ack));
    }
  });
  for (let count = 0; count < 50; count += 1) {
    outbox.append(created(`r-${count}`));
    if (count % 7 === 0) await outbox.drained();
  }
  await outbox.drained();
  const entries = await entriesOf(ledger);
  const bytesOf = (direction: number) =>
    entries
      .filter((entry) => entry.direction === direction && entry.message.length > 0)
      .map((entry) => Buffer.from(entry.message));
  expect(bytesOf(1)).toEqual(up.map((bytes) => Buffer.from(bytes)));
  expect(bytesOf(2)).toEqual(sentDown.map((bytes) => Buffer.from(bytes)));
});

test("a token crosses, and only its hash is kept (claim BORDER-1)", async () => {
  const { link, ledger } = await linkTo(async function* (requests) {
    yield welcome();
    for await (const _ of requests);
  });
  await link.ready();
  await link
    .index(principalOf("ada"))
    .getProject({ id: "flights" })
    .catch(() => undefined);
  const entry = (await entriesOf(ledger)).find((one) => one.messageType.endsWith("GetProjectRequest"));
  const headers = Object.fromEntries(entry!.headers.map(({ name, value }) => [name, value]));
  const hash = createHash("sha256").update("token").digest("hex");
  expect(headers).toMatchObject({
    authorization: `Bearer sha256:${hash}`,
    "content-type": "application/proto",
    ":path": "/biplane.control.v1.IndexService/GetProject",
  });
  const all = (await entriesOf(ledger)).flatMap((one) => one.headers.map(({ value }) => value));
  expect(all.join()).not.toContain("Bearer token");
  const answer = (await entriesOf(ledger)).find((one) => one.call === entry!.call && one.direction === 2);
  expect(answer?.status).toBe(200);
});

test("the oldest entries of a full ledger make room, leave a seal, and are audited; the newest stay (claim BORDER-1)", async () => {
  const sealed: string[] = [];
  const folder = await mkdtemp(join(tmpdir(), "biplane-ledger-"));
  const ledger = await openLedger({
    folder,
    key: newKey(),
    bytesMax: 64 * 1024,
    onDrop: async (seal) => {
      sealed.push(`${seal.firstSequence}-${seal.lastSequence}`);
    },
  });
  closing.push(
    () => rm(folder, { recursive: true, force: true }),
    () => ledger.close(),
  );
  const message = create(ConnectRequestSchema, {
    message: { case: "hello", value: { org: "x".repeat(200) } },
  } as MessageInitShape<typeof ConnectRequestSchema>);
  for (let count = 0; count < 1_500; count += 1) {
    const crossing = { direction: 1, method: "m", call: "c", messageType: ConnectRequestSchema.typeName };
    await ledger.record([{ ...crossing, message: toBinary(ConnectRequestSchema, message) }]);
  }
  const all = await entriesOf(ledger);
  const seals = all.filter((one) => one.messageType === border.LedgerSealSchema.typeName);
  const entries = all.filter((one) => !seals.includes(one));
  const read = seals.map((one) => fromBinary(border.LedgerSealSchema, one.message));
  expect(read.map((seal) => `${seal.firstSequence}-${seal.lastSequence}`)).toEqual(sealed);
  expect(read[0]?.firstSequence).toBe(1n);
  expect(read.at(-1)!.lastSequence + 1n).toBe(entries[0]?.sequence);
  for (const [index, seal] of read.entries()) {
    if (index > 0) expect(seal.firstSequence).toBe(read[index - 1]!.lastSequence + 1n);
  }
  expect(entries.at(-1)?.sequence).toBe(1_500n);
  expect(entries.length).toBeGreaterThan(50);
  expect(entries.length).toBeLessThan(400);
});

const intent = () =>
  down({
    case: "intent",
    value: {
      run: { org: "acme", project: "flights", domain: "development", name: "r-1" },
      documentDigest: new Uint8Array(32),
      nonce: new Uint8Array(16),
      createdBy: "ada",
      cluster: "home",
      fence: 1n,
    },
  });
const heartbeat = () => down({ case: "heartbeat", value: {} });
/** Every type of message that comes down. */
const types: Readonly<Record<NonNullable<ConnectResponse["message"]["case"]>, () => ConnectResponse>> = {
  welcome,
  ack: () => down({ case: "ack", value: { cursor: 0n } }),
  intent,
  heartbeat,
  auditCheckpoint: () => down({ case: "auditCheckpoint", value: { size: 1n, rootHash: new Uint8Array(32) } }),
  document: () => down({ case: "document", value: { jws: "a.b.c" } }),
  auditCountersignature: () => down({ case: "auditCountersignature", value: { size: 1n } }),
};
const copyOf = (message: ConnectResponse) =>
  fromBinary(ConnectResponseSchema, toBinary(ConnectResponseSchema, message));

test.each(Object.keys(types) as (keyof typeof types)[])(
  "a %s that came before is refused, in its own connection and in a later one, and audited (claim TRUST-3)",
  async (type) => {
    let recorded: ConnectResponse | undefined;
    const { intents, audit } = await linkTo(async function* (requests) {
      const fresh = welcome();
      yield fresh;
      if (recorded === undefined) {
        recorded = type === "welcome" ? fresh : types[type]();
        if (type !== "welcome") yield recorded;
      }
      yield copyOf(recorded);
      for await (const _ of requests);
    });
    await eventually(() => audit.reasons("LINK_REFUSED").length >= 2);
    const [inItsOwn, inALaterOne] = audit.reasons("LINK_REFUSED");
    expect(inItsOwn).toBe(type === "welcome" ? "unexpected_message" : "message_replayed");
    expect(inALaterOne).toBe(type === "welcome" ? "unexpected_message" : "foreign_session");
    expect(intents).toHaveLength(type === "intent" ? 1 : 0);
    expect(audit.reasons("LINK_DISCONNECTED")).toContain(inItsOwn);
  },
);

test("a whole recorded connection is refused at its welcome: the session needs this connection's own nonce (claim TRUST-3)", async () => {
  const recorded: ConnectResponse[] = [];
  const { intents, audit } = await linkTo(async function* (requests) {
    const messages = recorded.length === 0 ? [welcome(), intent()] : recorded.map(copyOf);
    for (const message of messages) yield message;
    recorded.splice(0, recorded.length, ...messages);
    if (audit.all.length < 2) await new Promise((resolve) => setTimeout(resolve, 200));
    for await (const _ of requests) return;
  });
  await eventually(() => audit.reasons("LINK_REFUSED").length >= 1);
  expect(audit.reasons("LINK_REFUSED")[0]).toBe("foreign_session");
  expect(intents).toHaveLength(1);
});

test("messages that change places are refused (claim TRUST-3)", async () => {
  const { intents, audit } = await linkTo(async function* (requests) {
    const first = welcome();
    yield first;
    const { session } = first;
    yield Object.assign(intent(), { session, sequence: 3n });
    yield Object.assign(heartbeat(), { session, sequence: 2n });
    for await (const _ of requests);
  });
  await eventually(() => audit.reasons("LINK_REFUSED").length >= 1);
  expect(audit.reasons("LINK_REFUSED")[0]).toBe("message_out_of_order");
  expect(intents).toEqual([]);
});

test.each([
  ["an acknowledgement", () => [welcome(), down({ case: "ack", value: { cursor: 4_711n } })]],
  ["a welcome", () => [welcome({ cursor: 4_711n })]],
])(
  "%s of events that were never sent makes this end forget nothing, and is refused (claim TRUST-3)",
  async (_, say) => {
    const { outbox, audit } = await linkTo(async function* (requests) {
      yield* say();
      for await (const _ of requests);
    });
    await eventually(() => audit.reasons("LINK_REFUSED").length >= 1);
    expect(audit.reasons("LINK_REFUSED")[0]).toBe("never_sent");
    expect(outbox.cursors).toEqual([]);
  },
);

test("control: each type of message is obeyed when it comes in its place", async () => {
  const { intents, outbox, audit } = await linkTo(async function* (requests) {
    for (const make of Object.values(types)) yield make();
    for await (const _ of requests);
  });
  await eventually(() => intents.length === 1);
  expect(outbox.cursors).toEqual([0n]);
  expect(audit.reasons("LINK_REFUSED")).toEqual([]);
  expect(audit.all.map(({ code }) => code)).toContain("INTENT_ACCEPTED");
});
