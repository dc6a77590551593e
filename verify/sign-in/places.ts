/** Where a token is worth something: routers and the control plane, each asked who shows it (claim IAM-1). */
import { second } from "@biplane/base";
import { IndexService } from "@biplane/control-wire";
import { flyte } from "@biplane/data-wire";
import { createClient, type Transport } from "@connectrpc/connect";
import { eventually } from "../frame/eventually.ts";
import { reasonOf } from "../policy/answers.ts";
import type { IndexCaller } from "../requests/index-caller.ts";
import { type RouterPlace, routerAs } from "../requests/router-as.ts";

export interface AskedPlace {
  readonly name: string;
  /** `ok`, or why the token is refused. */
  ask(token: string): Promise<string>;
}

export interface Places {
  readonly home: AskedPlace;
  /** They hear of a revocation over the link. */
  readonly elsewhere: readonly AskedPlace[];
}

export const tokenRevoked = "token_revoked";
const knownMsMax = 30 * second;
const refusedMsMax = 30 * second;
const everyMs = 20;

export function placesOf(home: RouterPlace, caller: IndexCaller, others: readonly RouterPlace[]): Places {
  const control = askWith(
    (token) => caller.actingFor(token),
    (transport) => createClient(IndexService, transport).listProjects({}),
  );
  return {
    home: { name: "the home router", ask: askRouter(home) },
    elsewhere: [
      { name: "the control plane", ask: control },
      ...others.map((other) => ({ name: "the router of a second cluster", ask: askRouter(other) })),
    ],
  };
}

function askRouter(place: RouterPlace): AskedPlace["ask"] {
  return askWith(
    (token) => routerAs(place, token),
    (transport) => createClient(flyte.auth.IdentityService, transport).userInfo({}),
  );
}

/** One connection for each token: who asks often must not be taken for a flood. */
function askWith(
  connect: (token: string) => Transport,
  call: (transport: Transport) => Promise<unknown>,
): AskedPlace["ask"] {
  const transports = new Map<string, Transport>();
  return (token) => {
    const transport = transports.get(token) ?? connect(token);
    transports.set(token, transport);
    return reasonOf(call(transport));
  };
}

/** Until everyone has heard of who is new. */
export async function untilKnown({ home, elsewhere }: Places, token: string): Promise<void> {
  for (const { name, ask } of [home, ...elsewhere]) {
    await eventually(
      () => ask(token),
      (told) => told === "ok",
      { withinMs: knownMsMax, what: `${name} letting in who is new` },
    );
  }
}

/** When it was last asked and let the token in, in milliseconds after `sinceMs`; 0 where it never did. */
export async function lastLetInMs(
  { name, ask }: AskedPlace,
  token: string,
  sinceMs: number,
): Promise<number> {
  let last = 0;
  const attempt = async () => {
    const askedAtMs = performance.now();
    const told = await ask(token);
    if (told === "ok") last = askedAtMs - sinceMs;
    return told;
  };
  const what = `${name} refusing who was revoked`;
  await eventually(attempt, (told) => told === tokenRevoked, { withinMs: refusedMsMax, what, everyMs });
  return Math.round(last);
}
