/** Compares the border ledger with what was captured on the wire: same calls, same bytes, same order, both ways (claim BORDER-1). */
import { border } from "@biplane/data-wire";
import { ledgerHeaders, type NamedValue } from "../../planes/data/link/ledger-headers.ts";
import type { CapturedCall, CapturedDirection } from "./captured-calls.ts";

export interface LedgerCall {
  readonly path: string;
  readonly up: LedgerDirection;
  readonly down: LedgerDirection;
}

interface LedgerDirection {
  readonly headers: Readonly<Record<string, string>>;
  readonly messages: readonly Buffer[];
}

/** The ledger's entries by call, in the order in which the calls began. */
export function ledgerCalls(entries: readonly border.LedgerEntry[]): LedgerCall[] {
  const calls = Map.groupBy(
    entries.filter(({ call }) => call !== ""),
    ({ call }) => call,
  );
  return [...calls.values()].map((ofCall) => {
    const of = (direction: border.Direction): LedgerDirection => {
      const own = ofCall.filter((entry) => entry.direction === direction);
      const headers = own.flatMap((entry) => entry.headers.map(({ name, value }) => [name, value] as const));
      const status = own.find((entry) => entry.status !== 0)?.status;
      const messages = own.filter((entry) => entry.messageType !== "");
      return {
        headers: Object.fromEntries(status === undefined ? headers : [...headers, [":status", `${status}`]]),
        messages: messages.map((entry) => Buffer.from(entry.message)),
      };
    };
    return { path: `/${ofCall[0]!.method}`, up: of(border.Direction.UP), down: of(border.Direction.DOWN) };
  });
}

/**
 * What the ledger and the wire do not agree on; empty where they are the same. `unreadMax`: so many messages may have come
 * at the end of a call that a stopping plane did not read any more.
 */
export function compareBorder(
  ledger: readonly LedgerCall[],
  wire: readonly CapturedCall[],
  unreadMax = 0,
): string[] {
  const differences: string[] = [];
  let next = 0;
  for (const captured of wire) {
    const path = captured.up.headers[":path"] ?? "";
    const at = ledger.findIndex(
      (one, index) => index >= next && one.path === path && isSame(one, captured, unreadMax),
    );
    if (at === -1) {
      differences.push(`beside the ledger: ${path}${firstDifference(ledger[next], captured, unreadMax)}`);
      continue;
    }
    for (const missing of ledger.slice(next, at)) differences.push(`never crossed: ${missing.path}`);
    next = at + 1;
  }
  return [...differences, ...ledger.slice(next).map(({ path }) => `never crossed: ${path}`)];
}

function isSame(one: LedgerCall, captured: CapturedCall, unreadMax: number): boolean {
  return firstDifference(one, captured, unreadMax) === "";
}

function firstDifference(one: LedgerCall | undefined, captured: CapturedCall, unreadMax: number): string {
  if (one === undefined) return " (there is no further call)";
  for (const direction of ["up", "down"] as const) {
    const allowed = direction === "down" ? unreadMax : 0;
    const difference = differenceIn(one[direction], captured[direction], allowed);
    if (difference !== "") return ` (${direction}: ${difference})`;
  }
  return "";
}

function differenceIn(ledger: LedgerDirection, wire: CapturedDirection, unreadMax: number): string {
  const [kept, sent] = [sorted(Object.entries(ledger.headers)), sorted(hidden(wire.headers))];
  if (kept !== sent) return `headers ${kept} and ${sent}`;
  const unread = wire.messages.length - ledger.messages.length;
  if (unread < 0 || unread > unreadMax) {
    return `${ledger.messages.length} and ${wire.messages.length} messages`;
  }
  const at = ledger.messages.findIndex((message, index) => !message.equals(wire.messages[index]!));
  if (at === -1) return "";
  const [left, right] = [ledger.messages[at]!, wire.messages[at]!].map((one) => one.toString("base64"));
  return `message ${at}: ${left} and ${right}`;
}

/** Of a token the ledger keeps the hash: that of the one on the wire has to be the same. */
function hidden(headers: Readonly<Record<string, string>>): NamedValue[] {
  const pseudo = Object.entries(headers).filter(([name]) => name.startsWith(":"));
  const named = Object.entries(headers).filter(([name]) => !name.startsWith(":"));
  return [...pseudo, ...ledgerHeaders(new Headers(named))];
}

function sorted(headers: readonly NamedValue[]): string {
  return JSON.stringify([...headers].sort(([a], [b]) => (a < b ? -1 : 1)));
}
