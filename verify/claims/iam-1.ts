/** IAM-1: who signs in and how, and that whoever was revoked is out. */
import { randomBytes } from "node:crypto";
import { second } from "@biplane/base";
import type { Connection } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { openIndexCaller } from "../requests/index-caller.ts";
import { makeProgram } from "../requests/programs.ts";
import { type TwoClusters, twoClusters, twoClustersWords } from "../scenes/two-clusters.ts";
import { signInAtProvider } from "../sign-in/federated.ts";
import {
  askForTokens,
  authorizeByPkce,
  claimsOf,
  codeGrant,
  refresh,
  signInByDevice,
  signInByPkce,
} from "../sign-in/flows.ts";
import { Person } from "../sign-in/person.ts";
import { lastLetInMs, type Places, placesOf, tokenRevoked, untilKnown } from "../sign-in/places.ts";

/** How long an honest link may take. */
const elsewhereMsMax = second;

export const iam1: Claim = {
  id: "IAM-1",
  text: "People sign in with OIDC through the customer's identity provider; machines use API keys or OAuth2 client credentials with their own identity; revoked ones stop working.",
  from: "machine",
  msMax: 180_000,

  async prove(subject, seen) {
    const { connection } = subject;
    const here = await placesHere(subject);
    await provePerson(subject, connection, here, seen);
    await proveRevocations(subject, connection, here, seen);
    const clusters = await subject.scene(twoClusters);
    const { system, client, away } = clusters;
    seen.note(
      `At the customer's own provider, and in a second cluster, by ${twoClustersWords} from here on.`,
    );
    await proveFederation(clusters, seen);
    const caller = await openIndexCaller(system.folders.data);
    const there = placesOf(system.profile, caller, [away]);
    await proveRevocations(subject, client.connection, there, seen);
  },

  async control(subject, seen) {
    const places = await placesHere(subject);
    const { token } = await temporaryProgram(subject, subject.connection);
    await untilKnown(places, token);
    const caught: boolean[] = [];
    for (const { name, ask } of [places.home, ...places.elsewhere]) {
      const told = await ask(token);
      const found = told === tokenRevoked ? [] : [`${name} lets them in`];
      caught.push(seen.caught(`a program that nobody revoked, judged as if it were: ${name}`, found, /lets/));
    }
    return caught.every(Boolean);
  },
};

async function placesHere({ connection, planes }: Subject): Promise<Places> {
  return placesOf(connection.profile, await openIndexCaller(planes.data.state), []);
}

/** At this installation's own authority. */
async function provePerson(
  subject: Subject,
  connection: Connection,
  { home }: Places,
  seen: Observations,
): Promise<void> {
  const { profile } = connection;
  const person = await temporaryPerson(subject, connection);
  const byPkce = await signInByPkce(profile, person.login);
  const told = await home.ask(byPkce.access);
  seen.holds(
    "invited a person, who chose a password and signed in by PKCE as a browser does",
    told === "ok",
    told,
  );
  const { code } = await authorizeByPkce(profile, person.login);
  const stolen = await askForTokens(profile, codeGrant(code, randomBytes(32).toString("base64url")));
  refused("took the code of a sign-in to the authority without its verifier", stolen, seen);
  const byDevice = await signInByDevice(profile, person.login);
  const device = await home.ask(byDevice.access);
  seen.holds("signed them in on a device, by the code that it showed", device === "ok", device);
  const renewed = await refresh(profile, byPkce.refresh);
  const fresh = await home.ask(renewed.access);
  seen.holds("renewed the first sign-in", fresh === "ok", fresh);
  const form = { grant_type: "refresh_token", client_id: profile.publicClientId };
  const again = await askForTokens(profile, { ...form, refresh_token: byPkce.refresh });
  refused("used the refresh token of before once more", again, seen);
  const family = await home.ask(renewed.access);
  seen.holds("asked with what it had given last", family === tokenRevoked, family);
}

function refused(what: string, answer: Record<string, unknown>, seen: Observations): void {
  const { error } = answer;
  seen.holds(what, error === "invalid_grant", typeof error === "string" ? error : "it gave a token");
}

/** Of each kind one that is revoked, and one of the same kind that goes on. */
async function proveRevocations(
  subject: Subject,
  connection: Connection,
  places: Places,
  seen: Observations,
): Promise<void> {
  for (const make of [revokedProgram, revokedSession, revokedPerson]) {
    const { words, token, other, revoke } = await make(subject, connection);
    for (const good of [token, other]) await untilKnown(places, good);
    await revoke();
    const sinceMs = performance.now();
    const atHome = await places.home.ask(token);
    seen.holds(`revoked ${words}, and asked the home router at once`, atHome === tokenRevoked, atHome);
    for (const place of places.elsewhere) {
      const ms = await lastLetInMs(place, token, sinceMs);
      const saw = ms === 0 ? "it let them in no more" : `it last let them in ${ms} ms after`;
      seen.holds(`asked ${place.name} again and again`, ms <= elsewhereMsMax, saw);
    }
    const told = await Promise.all([places.home, ...places.elsewhere].map(({ ask }) => ask(other)));
    seen.holds(
      "asked everyone about another one, which goes on",
      told.every((one) => one === "ok"),
      told.join(", "),
    );
  }
}

interface Revocable {
  readonly words: string;
  readonly token: string;
  readonly other: string;
  revoke(): Promise<unknown>;
}

async function revokedProgram(subject: Subject, connection: Connection): Promise<Revocable> {
  const { token: other } = await temporaryProgram(subject, connection);
  const { id, token } = await makeProgram(connection, "Viewer");
  const revoke = () => connection.apiKeys.deleteApiKey({ id });
  return {
    words: "a program's API key, with which it had signed in by client credentials",
    token,
    other,
    revoke,
  };
}

async function revokedSession(subject: Subject, connection: Connection): Promise<Revocable> {
  const person = await temporaryPerson(subject, connection);
  const [token, other] = [await person.signIn(), await person.signIn()];
  const session = { user: person.subject, session: claimsOf(token).grant ?? "" };
  return {
    words: "one sign-in of a person",
    token,
    other,
    revoke: () => connection.users.revokeSession(session),
  };
}

async function revokedPerson(subject: Subject, connection: Connection): Promise<Revocable> {
  const [person, another] = [
    await temporaryPerson(subject, connection),
    await temporaryPerson(subject, connection),
  ];
  const revoke = () => connection.users.revokeUser({ user: person.subject });
  return { words: "a person", token: await person.signIn(), other: await another.signIn(), revoke };
}

async function proveFederation({ system, client, provider }: TwoClusters, seen: Observations): Promise<void> {
  const { access } = await signInAtProvider(system.profile, provider, "grace");
  const { sub } = claimsOf(access);
  const { user } = await client.connection.users.getUser({ user: sub });
  const { name, groups } = provider.claims;
  const isTheirs = user?.federated === true && user.name === name && user.groups.join() === groups.join();
  seen.holds(
    "signed a person in at an OpenID provider of the customer's own, a process of its own",
    isTheirs,
    `the authority knows them as ${user?.name}, of ${user?.groups.join(" and ")}`,
  );
}

async function temporaryProgram(subject: Subject, connection: Connection) {
  const program = await makeProgram(connection, "Viewer");
  subject.undo.add(() => connection.apiKeys.deleteApiKey({ id: program.id }));
  return program;
}

async function temporaryPerson(subject: Subject, connection: Connection): Promise<Person> {
  const email = `verify-${randomBytes(6).toString("hex")}@biplane.invalid`;
  const person = await Person.invite(connection.profile, connection.router, email, "Viewer");
  subject.undo.add(() => connection.users.deleteUser({ user: person.subject }));
  return person;
}
