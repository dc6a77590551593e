/** TRUST-1: the control plane can't mint access. */

import { flyte } from "@biplane/data-wire";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Observations } from "../frame/observations.ts";
import { attacker } from "../hostile-control-plane/index.ts";
import { ownTokens } from "../hostile-control-plane/own-tokens.ts";
import { type RouterPlace, routerAs } from "../requests/router-as.ts";
import type { TakenOver } from "../scenes/taken-over.ts";
import { trustClaim } from "./trust.ts";

export const trust1 = trustClaim({
  id: "TRUST-1",
  text: "The control plane cannot mint access: tokens, roles and policy bundles that the customer's identity authority did not sign are refused by the data plane.",
  more: (at, _, seen) => tryTokens(at, seen),
});

async function tryTokens({ hostile, client, records }: TakenOver, seen: Observations): Promise<void> {
  const { profile, http, tokens } = client.connection;
  const answer = await http.send(`${profile.authority}/jwks`, { method: "GET" });
  const { keys } = JSON.parse(await http.text(answer)) as { keys: { kid: string; x: string }[] };
  const received = await hostile.tokens();
  const own = ownTokens(profile.authority, profile.org, attacker, keys[0]!);
  const all = [
    ...received.map((token) => ["one that it received", token] as const),
    ...Object.entries(own).map(([name, token]) => [`one ${name}`, token] as const),
  ];
  const before = (await records("REQUEST_REFUSED")).length;
  const taken: string[] = [];
  for (const [name, token] of all) {
    const refusal = await present(profile, token);
    if (refusal !== Code.Unauthenticated) taken.push(`${name} was answered with ${refusal}`);
  }
  seen.none(
    `presented ${received.length} tokens that it had received and ${all.length - received.length} of its own making to the router`,
    taken,
  );
  const noted = (await records("REQUEST_REFUSED")).length - before;
  seen.holds(
    "looked for them in the data plane's audit log",
    noted >= all.length,
    `${noted} refusals are on record`,
  );
  const genuine = await present(profile, await tokens.token(false));
  seen.holds("presented a token of the authority in the same way", genuine === "answered", String(genuine));
}

async function present(place: RouterPlace, token: string): Promise<Code | "answered"> {
  try {
    await createClient(flyte.auth.IdentityService, routerAs(place, token)).userInfo({});
    return "answered";
  } catch (error) {
    return ConnectError.from(error).code;
  }
}
