/** IAM-3: the router decides inside the data plane, and goes on while the control plane is away until its policy is stale. */
import type { Claim } from "../frame/claim.ts";
import { eventually } from "../frame/eventually.ts";
import type { Subject } from "../frame/subject.ts";
import { type Asking, answersOf, onceStale, outcome, unfit, whileInDate } from "../policy/answers.ts";
import { makeProgram, type Program } from "../requests/programs.ts";
import {
  policyMs,
  policySeconds,
  twoClusters,
  twoClustersOrg,
  twoClustersPlace,
  twoClustersWords,
} from "../scenes/two-clusters.ts";

/** The router away judges by its own clock's seconds; asking takes time too. */
const slackMs = 10_000;
const decidingMsMax = 60_000;
const tokenRefused = /^token_(missing|refused)$/;

export const iam3: Claim = {
  id: "IAM-3",
  text: "The router authenticates and authorizes inside the data plane; with the control plane down it keeps deciding with the last signed policy until that goes stale.",
  from: "machine",
  // It stops a control plane that others use.
  alone: ["two clusters"],
  msMax: 240_000,

  async prove(subject, seen) {
    const clusters = await subject.scene(twoClusters);
    const { home, away } = await askingAt(subject);
    await untilDeciding(away);
    const revoked = await knownProgram(subject, away);
    await clusters.stopControlPlane();
    const stoppedMs = Date.now();
    seen.note(
      `stopped the control plane of ${twoClustersWords} where a policy is believed for ${policySeconds} s.`,
    );
    for (const [name, asking] of [
      ["home", home],
      ["away", away],
    ] as const) {
      const told = unfit(await answersOf(asking), whileInDate);
      seen.none(`asked the router ${name} what an administrator and a viewer may do, without it`, told);
      const stranger = await outcome(asking, "no token", "list");
      seen.holds(`asked the router ${name} with a token of nobody's`, tokenRefused.test(stranger), stranger);
    }
    const later = await makeProgram(clusters.client.connection, "Viewer");
    const told = await outcome(home, later.token, "list");
    seen.holds("made a program at home meanwhile, and signed it in", told === "ok", told);
    await clusters.client.connection.apiKeys.deleteApiKey({ id: revoked.id });
    const atHome = await outcome(home, revoked.token, "list");
    seen.holds("revoked another, and asked home", atHome === "token_revoked", atHome);
    const unheard = await outcome(away, revoked.token, "list");
    seen.holds("asked the router away, which can't have heard of that", unheard === "ok", unheard);
    await eventually(
      () => answersOf(away),
      (answers) => unfit(answers, onceStale).length === 0,
      { withinMs: 2 * policyMs, what: "The policy going stale" },
    );
    const afterMs = Date.now() - stoppedMs;
    seen.holds(
      `asked the router away again and again until it refused everything as decided by a stale policy`,
      afterMs <= policyMs + slackMs,
      `that was ${Math.round(afterMs / 1_000)} s after the stop`,
    );
    const unbelieved = await outcome(away, revoked.token, "list");
    seen.holds("asked it about the revoked program", unbelieved === "policy_stale", unbelieved);
    seen.none("asked home, which signs for itself", unfit(await answersOf(home), whileInDate));
    await clusters.startControlPlane();
    await untilDeciding(away);
    seen.note("started the control plane again: the router away decides as before.");
    const heard = await outcome(away, revoked.token, "list");
    seen.holds("asked it about the revoked program again", heard === "token_revoked", heard);
  },

  async control(subject, seen) {
    const { home } = await askingAt(subject);
    const stale = seen.caught(
      "a router that goes on deciding, judged as one whose policy is stale",
      unfit(await answersOf(home), onceStale),
      /lists runs is told: ok/,
    );
    const asViewer = { ...home, viewer: home.admin };
    const viewer = seen.caught(
      "an administrator's token presented as a viewer's",
      unfit(await answersOf(asViewer), whileInDate),
      /a viewer who aborts a run/,
    );
    return stale && viewer;
  },
};

async function askingAt(subject: Subject): Promise<{ home: Asking; away: Asking }> {
  const { system, client, away } = await subject.scene(twoClusters);
  const tokens = {
    admin: await client.connection.tokens.token(false),
    viewer: (await makeProgram(client.connection, "Viewer")).token,
  };
  const { rootPem, router } = system.profile;
  const asking = { rootPem, org: twoClustersOrg, ...twoClustersPlace, ...tokens };
  return { home: { ...asking, router }, away: { ...asking, router: away.router } };
}

/** One that the router away lets in. */
async function knownProgram(subject: Subject, away: Asking): Promise<Program> {
  const { client } = await subject.scene(twoClusters);
  const program = await makeProgram(client.connection, "Viewer");
  await eventually(
    () => outcome(away, program.token, "list"),
    (told) => told === "ok",
    { withinMs: decidingMsMax, what: "The router away from home letting in who is new" },
  );
  return program;
}

/** Until the newest policy has come over the link, with all programs that are in it. */
async function untilDeciding(asking: Asking): Promise<void> {
  await eventually(
    () => answersOf(asking),
    (told) => unfit(told, whileInDate).length === 0,
    { withinMs: decidingMsMax, what: "The router away from home deciding as home does" },
  );
}
