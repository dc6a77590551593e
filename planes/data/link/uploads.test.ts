/** When events leave: those that somebody waits for at once, the others collected, all of them in order. */
import { type ConnectRequest, type EventSchema, WelcomeSchema } from "@biplane/control-wire";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MemoryOutbox } from "../../../tests/support/memory-outbox.ts";
import { Uploads } from "./uploads.ts";

type Change = MessageInitShape<typeof EventSchema>["change"];

const update: Change = { case: "actionUpdated", value: {} };
const awaited: Change = { case: "runCreated", value: {} };

let outbox: MemoryOutbox;
let ending: AbortController;
let running: Promise<void>;
let sent: bigint[][];

beforeEach(() => {
  // Time for the pace stands still until a test moves it on.
  vi.useFakeTimers({ toFake: ["performance"] });
  outbox = new MemoryOutbox();
  ending = new AbortController();
  sent = [];
  const send = async (message: ConnectRequest["message"]) => {
    if (message.case === "events") sent.push(message.value.events.map(({ sequence }) => sequence));
    return true;
  };
  running = new Uploads(outbox, send, ending.signal).run(create(WelcomeSchema));
});

afterEach(async () => {
  ending.abort();
  outbox.append(update);
  await running;
  vi.useRealTimers();
});

const batches = (count: number) => vi.waitFor(() => expect(sent).toHaveLength(count), { timeout: 10_000 });

async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test("events that nobody waits for are collected until one comes that somebody waits for", async () => {
  outbox.append(update);
  await batches(1);
  outbox.append(update);
  await someTurns();
  outbox.append(update);
  await someTurns();
  expect(sent).toEqual([[1n]]);
  outbox.append(awaited);
  await batches(2);
  expect(sent).toEqual([[1n], [2n, 3n, 4n]]);
});

test("what nobody waits for leaves when its time has come, though nothing follows it", async () => {
  outbox.append(update);
  await batches(1);
  outbox.append(update);
  await someTurns();
  expect(sent).toHaveLength(1);
  vi.advanceTimersByTime(101);
  await batches(2);
  expect(sent[1]).toEqual([2n]);
});

test("one that somebody waits for leaves at once, however soon after another", async () => {
  for (let count = 1; count <= 3; count += 1) {
    outbox.append(awaited);
    await batches(count);
  }
  expect(sent).toEqual([[1n], [2n], [3n]]);
});
