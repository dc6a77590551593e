/** BORDER-1: everything that crossed between the planes is on the customer's record, as it was. */
import type { border } from "@biplane/data-wire";
import type { RemoteClient } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { stage, stageWords } from "../scenes/stage.ts";
import { describeFinding } from "../search/places.ts";
import { compareBorder, type LedgerCall, ledgerCalls } from "../wire/border-comparison.ts";
import { type CapturedCall, capturedCalls } from "../wire/captured-calls.ts";
import { decryptCapture } from "../wire/decrypted-link.ts";

export const border1: Claim = {
  id: "BORDER-1",
  text: "The customer can read everything that ever crossed: each message between the planes is on record in the data plane (the border ledger), in plain form, with its classes.",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    const { secret, named } = await subject.scene(plantedRun);
    const entries = await ledgerOf(subject.client);
    const bytes = Buffer.concat(entries.map(({ message }) => message));
    seen.none(
      `read the whole ledger of this installation, ${entries.length} entries, and searched it for the planted run's values`,
      secret.search(bytes, "the ledger").map(describeFinding),
    );
    const names = named.search(bytes, "the ledger");
    seen.holds("looked in it for the task's name, which does cross", names.length > 0, "it is there");
    const { ledger, wire } = await subject.scene(crossed);
    seen.none(
      `compared ${wire.length} calls on the link of ${stageWords} as captured and decrypted, with their ledger: the same calls, headers, bytes and order`,
      compareBorder(ledger, wire),
    );
  },

  async control(subject, seen) {
    const { ledger, wire } = await subject.scene(crossed);
    const [first, ...others] = ledger;
    if (first === undefined) return false;
    return seen.caught(
      "a call that passed over the wire and is not in the ledger",
      compareBorder(others, wire),
      /beside the ledger/,
    );
  },
};

/** As long as the capture went on: of a stream that goes on, the ledger alone has the later messages. */
async function crossed(subject: Subject): Promise<{ ledger: LedgerCall[]; wire: CapturedCall[] }> {
  const { capture, keyLogs, ports, client } = await subject.scene(stage);
  const logs = [keyLogs.data];
  const wire = await capturedCalls(capture, await decryptCapture(capture, logs), logs, ports.link);
  const calls = ledgerCalls(await ledgerOf(client)).slice(0, wire.length);
  return {
    wire,
    ledger: calls.map((call, at) => (call.path.endsWith("/Connect") ? cut(call, wire[at]) : call)),
  };
}

function cut({ path, up, down }: LedgerCall, wire: CapturedCall | undefined): LedgerCall {
  return {
    path,
    up: { ...up, messages: up.messages.slice(0, wire?.up.messages.length) },
    down: { ...down, messages: down.messages.slice(0, wire?.down.messages.length) },
  };
}

async function ledgerOf({ connection }: RemoteClient): Promise<border.LedgerEntry[]> {
  const entries: border.LedgerEntry[] = [];
  for await (const entry of connection.border.readLedger({ fromSequence: 0n, follow: false, run: "" }))
    entries.push(entry);
  return entries;
}
