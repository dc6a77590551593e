/**
 * People, programs and sign-ins that were taken back, over real processes: at home, in the control plane, and in a second
 * cluster behind a control plane that withholds what the authority signs (claim IAM-1).
 */
import { join } from "node:path";
import { IndexService } from "@biplane/control-wire";
import { flyte, identity } from "@biplane/data-wire";
import { eventually } from "@biplane/verify/frame/eventually";
import {
  type HostileControlPlane,
  startHostileControlPlane,
} from "@biplane/verify/hostile-control-plane/index";
import { reasonOf } from "@biplane/verify/policy/answers";
import { type IndexCaller, openIndexCaller } from "@biplane/verify/requests/index-caller";
import { routerAs } from "@biplane/verify/requests/router-as";
import { claimsOf } from "@biplane/verify/sign-in/flows";
import { Person } from "@biplane/verify/sign-in/person";
import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FurtherCluster, startFurtherCluster } from "../e2e/further-cluster.ts";
import { requestToken } from "../e2e/sign-in.ts";
import { domain, org, project, type System, startSystem } from "../e2e/system.ts";

/** Shortened; long enough for what is asked before it ends, on a busy machine. */
const policySeconds = 40;
/** What is measured is printed; this only ends a test that waits for nothing. */
const waitMsMax = 60_000;

let system: System;
let paris: FurtherCluster;
let caller: IndexCaller;

beforeAll(async () => {
  system = await startSystem({ dataParameters: ["--policy-lifetime", String(policySeconds)] });
  paris = await startFurtherCluster(system, "paris");
  caller = await openIndexCaller(join(system.folder, "data"));
});
afterAll(async () => {
  await paris?.close();
  await system?.close();
});

interface Credential {
  readonly token: string;
  /** The same kind's that goes on: another person's, another program's, the same person's other sign-in. */
  readonly other: string;
  /** By the administrator, at home. */
  revoke(): Promise<unknown>;
}

let made = 0;
const invite = () =>
  Person.invite(system.profile, system.transport(), `person-${++made}@example.com`, "Viewer");
const users = () => createClient(identity.UserService, system.transport());
const keys = () => createClient(identity.ApiKeyService, system.transport());

async function program() {
  const { key, secret } = await keys().createApiKey({ name: `program-${++made}`, role: "Viewer" });
  return { id: key!.id, token: await requestToken(system.profile, { id: key!.id, secret }) };
}

const credentials = {
  user: async () => {
    const [person, other] = [await invite(), await invite()];
    const revoke = () => users().revokeUser({ user: person.subject });
    return { token: await person.signIn(), other: await other.signIn(), revoke };
  },
  service: async () => {
    const [revoked, other] = [await program(), await program()];
    return { ...revoked, other: other.token, revoke: () => keys().deleteApiKey({ id: revoked.id }) };
  },
  grant: async () => {
    const person = await invite();
    const [token, other] = [await person.signIn(), await person.signIn()];
    const { grant = "" } = claimsOf(token);
    return { token, other, revoke: () => users().revokeSession({ user: person.subject, session: grant }) };
  },
} satisfies Record<string, () => Promise<Credential>>;
const kinds = Object.keys(credentials) as (keyof typeof credentials)[];

/** One connection for each: a test that asks often must not be taken for a flood. */
const transports = new Map<string, Transport>();

function transportFor(place: string, token: string, make: () => Transport): Transport {
  const key = `${place} ${token}`;
  const transport = transports.get(key) ?? make();
  transports.set(key, transport);
  return transport;
}

function atRouter(router: string, token: string): Promise<string> {
  const { rootPem } = system.profile;
  const transport = transportFor(router, token, () => routerAs({ router, rootPem }, token));
  const scopeBy = { case: "projectId", value: { organization: org, name: project, domain } } as const;
  return reasonOf(createClient(flyte.workflow.RunService, transport).listRuns({ scopeBy }));
}
const atHome = (token: string) => atRouter(system.profile.router, token);
const inParis = (token: string) => atRouter(paris.profile.router, token);
const atControlPlane = (token: string) => {
  const transport = transportFor("control plane", token, () => caller.actingFor(token));
  return reasonOf(createClient(IndexService, transport).listProjects({}));
};

const until = (what: string, ask: () => Promise<string>, answer: string) =>
  eventually(ask, (told) => told === answer, { withinMs: waitMsMax, what, everyMs: 20 });

describe("over an honest link", () => {
  test.each(kinds)(
    "a revoked %s fails at home at once, in the control plane and elsewhere soon; others go on",
    async (kind) => {
      const { token, other, revoke } = await credentials[kind]();
      const places = { "the control plane": atControlPlane, "a second cluster": inParis };
      for (const [place, ask] of Object.entries({ ...places, home: atHome })) {
        for (const good of [token, other])
          await until(`${place} knowing a new ${kind}`, () => ask(good), "ok");
      }
      await revoke();
      const revokedAtMs = performance.now();
      const measured = Object.entries(places).map(async ([place, ask]) => {
        await until(`${place} refusing a revoked ${kind}`, () => ask(token), "token_revoked");
        return `${place} after ${Math.round(performance.now() - revokedAtMs)} ms`;
      });
      expect(await atHome(token)).toBe("token_revoked");
      console.log(`a revoked ${kind} is refused: home at once, ${(await Promise.all(measured)).join(", ")}`);
      for (const ask of [atHome, inParis, atControlPlane]) expect(await ask(other)).toBe("ok");
    },
  );
});

describe("with a control plane that withholds what the authority signs", () => {
  let hostile: HostileControlPlane;
  let those: readonly (Credential & { readonly kind: string })[];

  beforeAll(async () => {
    those = await Promise.all(kinds.map(async (kind) => ({ kind, ...(await credentials[kind]()) })));
    await system.control.stop();
    const place = { folder: join(system.folder, "control"), port: system.ports.link, org };
    hostile = await startHostileControlPlane({ ...place, logPath: join(system.folder, "hostile.log") });
    for (const { kind, token } of those) {
      await until(`a second cluster knowing a new ${kind}`, () => inParis(token), "ok");
    }
  });
  afterAll(() => hostile?.stop());

  test("all three are refused at home at once, and in a second cluster no later than one lifetime after", async () => {
    await hostile.withholdDocuments();
    for (const { revoke } of those) await revoke();
    const revokedAtMs = Date.now();
    for (const { token, other } of those) {
      expect(await atHome(token)).toBe("token_revoked");
      expect(await atHome(other)).toBe("ok");
    }
    const letInMs = new Map<string, number>();
    const ask = async ({ kind, token }: (typeof those)[number]) => {
      const askedAtMs = Date.now();
      const told = await inParis(token);
      if (told === "ok") letInMs.set(kind, askedAtMs - revokedAtMs);
      return told;
    };
    const refused = await eventually(
      () => Promise.all(those.map(ask)),
      (told) => !told.includes("ok"),
      { withinMs: 3 * policySeconds * 1_000, what: "A second cluster refusing all three" },
    );
    // What was held when they were revoked has gone out of date: nothing else could have told that cluster.
    expect(new Set(refused)).toEqual(new Set(["policy_stale"]));
    console.log(`last let in, of ${policySeconds * 1_000} ms at most:`, Object.fromEntries(letInMs));
    // The control: they were let in while it was in date, so the link did withhold.
    expect([...letInMs.keys()].sort()).toEqual([...kinds].sort());
    for (const lastMs of letInMs.values()) expect(lastMs).toBeLessThanOrEqual(policySeconds * 1_000);
    for (const { token } of those) expect(await inParis(token)).toBe("policy_stale");
  });

  test("control: once it passes them on again others are let in, and the three are still refused", async () => {
    await hostile.beHonest();
    for (const { token, other } of those) {
      await until("A second cluster hearing of its authority again", () => inParis(other), "ok");
      expect(await inParis(token)).toBe("token_revoked");
    }
  });
});
