/**
 * Planes of verify's own, thrown away afterwards, of two clusters: home, which hosts the authority, and one away from it,
 * which knows the policy by the link alone. For what changes who may do what, and for stopping the control plane.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { second } from "@biplane/base";
import { makeAdministrator } from "@biplane/cli/dev/first-administrator";
import { type LocalSystem, startLocalSystem } from "@biplane/cli/dev/local-system";
import { PlaneProcess, runErrand } from "@biplane/cli/dev/plane-process";
import { freePorts, type Ports, portNames, writeSettings } from "@biplane/cli/dev/settings";
import { type Profile, RemoteClient } from "@biplane/sdk/remote";
import type { Subject } from "../frame/subject.ts";
import { prepareForeignProvider } from "../sign-in/foreign-provider.ts";

/** For evidence. */
export const twoClustersWords =
  "planes of verify's own, from the same programs, with a second cluster away from home,";
export const twoClustersOrg = "verify";
export const twoClustersPlace = { project: "flights", domain: "development" } as const;
/** How long the cluster away from home believes a policy. */
export const policySeconds = 30;
export const policyMs = policySeconds * second;

type ForeignClaims = typeof foreignClaims;

export interface TwoClusters {
  readonly system: LocalSystem;
  /** The first administrator, at home. */
  readonly client: RemoteClient;
  readonly away: Profile;
  /** The customer's own OpenID provider, and what it says of everyone who signs in there. */
  readonly provider: { readonly issuer: string; readonly rootPem: string; readonly claims: ForeignClaims };
  stopControlPlane(): Promise<void>;
  startControlPlane(): Promise<void>;
}

export async function twoClusters(subject: Subject): Promise<TwoClusters> {
  const folder = join(subject.folder, "two-clusters");
  mkdirSync(folder, { mode: 0o700 });
  const ports = await chooseOwnPorts();
  await writeSettings(folder, { org: twoClustersOrg, cluster: "home", ports });
  const federation = await prepareFederation(subject, folder);
  const system = await startLocalSystem({
    ...{ folder, org: twoClustersOrg, allowUnsandboxed: true, prepareData: federation.prepareData },
    environmentOf: { data: { BIPLANE_POLICY_LIFETIME: String(policySeconds), ...federation.environment } },
  });
  subject.undo.add(() => system.close());
  const { connection } = await makeAdministrator(system, twoClustersPlace.project);
  const client = new RemoteClient(connection);
  const away = await startAway(subject, folder, system, client);
  const { issuer, rootPem } = federation;
  const provider = { issuer, rootPem, claims: foreignClaims };
  return { system, client, away, provider, ...controlPlaneOf(subject, system, ports) };
}

const foreignClaims = { name: "Grace", email: "grace@example.com", groups: ["engineers", "on-call"] };

/** The home cluster federates, as its operator would have it, to an OpenID provider that is not Biplane's. */
async function prepareFederation(subject: Subject, folder: string) {
  const { issuer, rootPem, start } = await prepareForeignProvider();
  const [clientId, clientSecret] = ["biplane", randomBytes(24).toString("base64url")];
  const [secretFile, caFile] = [join(folder, "federation-secret"), join(folder, "foreign-root.pem")];
  writeFileSync(secretFile, clientSecret, { mode: 0o600 });
  writeFileSync(caFile, rootPem);
  const prepareData = async (state: string) => {
    const names = ["--issuer", issuer, "--client-id", clientId, "--name", "Foreign"];
    const federate = ["federate", "--client-secret-file", secretFile, "--state", state, ...names];
    const { redirectUri } = await runErrand<{ redirectUri: string }>("data", federate);
    const provider = await start({ clientId, clientSecret, redirectUri, claims: foreignClaims });
    subject.undo.add(() => provider[Symbol.asyncDispose]());
  };
  return { issuer, rootPem, prepareData, environment: { BIPLANE_CA_FILE: caFile } };
}

/** Free ones, however many others are being chosen just now: the usual ones are for systems that people use. */
async function chooseOwnPorts(): Promise<Ports> {
  const ports = await freePorts(portNames.length);
  return Object.fromEntries(portNames.map((name, index) => [name, ports[index]])) as unknown as Ports;
}

/** Behind a balancer of its own: no edge. */
async function startAway(
  subject: Subject,
  folder: string,
  { folders }: LocalSystem,
  { connection }: RemoteClient,
): Promise<Profile> {
  const [cluster, state] = ["away", join(folder, "away")];
  mkdirSync(state, { mode: 0o700 });
  const [router, objects] = (await freePorts(2)).map((port) => `https://localhost:${port}`);
  const joinCode = await connection.membership.createJoinCode({
    cluster,
    router: router!,
    objects: objects!,
  });
  const enroll = ["enroll-code", "--state", folders.control, "--org", twoClustersOrg, "--cluster", cluster];
  const { code } = await runErrand<{ code: string }>("control", enroll);
  await runErrand("data", ["join", joinCode.code, "--enroll-code", code, "--state", state]);
  const plane = new PlaneProcess({
    program: "data",
    parameters: ["start", "--state", state, "--listen", "--allow-unsandboxed"],
    logPath: join(folders.logs, "away.log"),
  });
  subject.undo.add(() => plane.stop());
  await plane.ready();
  return JSON.parse(readFileSync(join(state, "profile.json"), "utf8")) as Profile;
}

function controlPlaneOf(subject: Subject, { folders, processes }: LocalSystem, ports: Ports) {
  return {
    stopControlPlane: async () => {
      await processes.find(({ name }) => name === "control")?.stop();
    },
    startControlPlane: async () => {
      const plane = new PlaneProcess({
        program: "control",
        parameters: ["start", "--state", folders.control, "--listen", `127.0.0.1:${ports.link}`],
        logPath: join(folders.logs, "control.log"),
      });
      subject.undo.add(() => plane.stop());
      await plane.ready();
    },
  };
}
