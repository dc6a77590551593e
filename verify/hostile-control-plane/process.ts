/** The modified control plane as a process: `process.ts STATE PORT ORG`; what it is to do comes from its parent. */

import { ConnectResponseSchema, IntentSchema } from "@biplane/control-wire";
import { clone, create } from "@bufbuild/protobuf";
import { intentAttacks, intentOfNobody } from "./intent-attacks.ts";
import { messageAttacks } from "./message-attacks.ts";
import { type Impersonation, impersonate, ModifiedControlPlane } from "./modified-plane.ts";

/** What the parent asks for. */
export interface Orders {
  changeIntents(attack: string): Promise<void>;
  sendIntentOfNobody(): Promise<void>;
  withholdDocuments(): Promise<void>;
  beHonest(): Promise<void>;
  say(attack: string): Promise<void>;
  tokens(): Promise<string[]>;
  /** One that is good: making them is the provider's right. */
  enrollCode(cluster: string): Promise<string>;
  impersonate(port: number): Promise<void>;
  /** How many requests came in meanwhile. */
  endImpersonation(): Promise<number>;
}

const [folder = "", port = "", org = ""] = process.argv.slice(2);
const plane = await ModifiedControlPlane.start(folder, Number(port), org);
let impersonation: Impersonation | undefined;

const orders: Orders = {
  changeIntents: async (attack) =>
    plane.changeIntents(async (_, intent, known) => {
      const value = clone(IntentSchema, intent);
      await intentAttacks[attack]!.change(value, known);
      return [create(ConnectResponseSchema, { message: { case: "intent", value } })];
    }),
  sendIntentOfNobody: async () =>
    plane.changeIntents(async (message, intent) => [message, intentOfNobody(intent)]),
  withholdDocuments: async () => plane.withholdDocuments(true),
  beHonest: async () => {
    plane.changeIntents(undefined);
    plane.withholdDocuments(false);
  },
  say: async (attack) => {
    await plane.connected();
    plane.say(await messageAttacks[attack]!.say(plane.known));
  },
  tokens: async () => [...plane.known.tokens],
  enrollCode: (cluster) => plane.enrollCode(cluster),
  impersonate: async (at) => {
    impersonation = await impersonate(plane.known, at);
  },
  endImpersonation: async () => {
    await new Promise((resolve) => impersonation!.server.close(resolve));
    return impersonation!.requests;
  },
};

process.on(
  "message",
  async ({ id, order, parameters }: { id: number; order: keyof Orders; parameters: never[] }) => {
    try {
      const value = await (orders[order] as (...given: never[]) => Promise<unknown>)(...parameters);
      process.send!({ id, value });
    } catch (error) {
      process.send!({ id, error: String((error as Error).stack) });
    }
  },
);
process.send!({ id: 0, value: "ready" });
