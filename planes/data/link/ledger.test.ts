/** Reading the border ledger: what a reader who goes away still costs. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MiB } from "@biplane/base";
import { IndexService } from "@biplane/control-wire";
import { border } from "@biplane/data-wire";
import { newKey } from "@biplane/kit";
import { type Journal, openJournal } from "@biplane/kit/journal";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BorderLedger } from "./ledger.ts";
import { LedgerSeals } from "./ledger-seals.ts";

const messages = 200;
let folder = "";
let ledger: BorderLedger;
let read = 0;
let onRead: () => void = () => {};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "biplane-ledger-"));
  const key = newKey();
  const journal = await openJournal({ folder, key, name: "border", segmentBytesMax: MiB });
  const seals = await LedgerSeals.open(folder, key);
  [read, onRead] = [0, () => {}];
  ledger = new BorderLedger(counting(journal), seals, { folder, key, bytesMax: MiB });
  const { input, name, parent } = IndexService.method.getRun;
  const run = { org: "acme", project: "flights", domain: "development", name: "r-one" };
  const message = toBinary(input, create(input, { run }));
  const method = `${parent.typeName}/${name}`;
  const crossing = {
    direction: border.Direction.UP,
    method,
    call: "1",
    messageType: input.typeName,
    message,
  };
  await ledger.record(Array.from({ length: messages }, () => crossing));
});
afterEach(async () => {
  await ledger.close();
  await rm(folder, { recursive: true });
});

/** The same journal, which counts what is read of it. */
function counting(journal: Journal): Journal {
  return new Proxy(journal, {
    get(target, name) {
      if (name === "read") return (from: bigint) => counted(target.read(from));
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function* counted<T>(entries: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const entry of entries) {
    read += 1;
    onRead();
    yield entry;
  }
}

async function readLast(signal: AbortSignal): Promise<number> {
  const found = [];
  for await (const entry of ledger.read({ fromSequence: 0n, follow: false, run: "r-one", last: 3 }, signal))
    found.push(entry);
  return found.length;
}

test("whoever leaves while the newest messages of a run are looked for ends the search", async () => {
  const leaving = new AbortController();
  onRead = () => read >= 10 && leaving.abort();
  expect(await readLast(leaving.signal)).toBe(0);
  expect(read).toBeLessThan(15);
});

test("control: whoever stays gets them, after all were looked at", async () => {
  expect(await readLast(new AbortController().signal)).toBe(3);
  expect(read).toBeGreaterThanOrEqual(messages);
});
