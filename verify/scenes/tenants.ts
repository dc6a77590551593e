/**
 * Two organizations, each with a data plane and an edge, on one control plane of verify's own, from the same programs as
 * those that are verified: for what takes a neighbour. Their certificates are good for seconds, so that they change all
 * the time.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BiplaneError, Secret } from "@biplane/base";
import { writeEdgeConfig, writeEdgeIdentity } from "@biplane/cli/dev/edge-state";
import { redeemClaim } from "@biplane/cli/dev/first-administrator";
import { type LocalSystem, startLocalSystem } from "@biplane/cli/dev/local-system";
import { PlaneProcess, runErrand } from "@biplane/cli/dev/plane-process";
import { choosePorts, type Ports, services, writeSettings } from "@biplane/cli/dev/settings";
import { type Connection, openConnection, type Profile, readProfile } from "@biplane/sdk/remote";
import { eventually } from "../frame/eventually.ts";
import type { Subject } from "../frame/subject.ts";

export const servingSeconds = 6;
/** A machine that is busy starts a plane within that. */
export const clusterSeconds = 30;
const tenantCluster = "home";

export interface Tenant {
  readonly org: string;
  readonly cluster: string;
  readonly profile: Profile;
  /** As its first administrator. */
  readonly connection: Connection;
  /** Of its data plane. */
  readonly state: string;
}

export interface Tenants {
  readonly own: Tenant;
  readonly other: Tenant;
  /** Control plane, and edge and data plane of the first. */
  readonly system: LocalSystem;
  readonly ports: Ports;
}

/** For evidence. */
export const tenantsWords = "two organizations on planes of verify's own beside, from the same programs,";

const environmentOf = {
  control: { BIPLANE_CLUSTER_CERTIFICATE_SECONDS: String(clusterSeconds) },
  data: { BIPLANE_CERTIFICATE_SECONDS: String(servingSeconds) },
};

export async function tenants(subject: Subject): Promise<Tenants> {
  const folder = join(subject.folder, "tenants");
  mkdirSync(folder, { mode: 0o700 });
  const [org, cluster, ports] = ["verify-own", tenantCluster, await choosePorts(undefined)];
  await writeSettings(folder, { org, cluster, ports });
  const system = await startLocalSystem({ folder, org, cluster, allowUnsandboxed: true, environmentOf });
  subject.undo.add(() => system.close());
  const own = await signIn(org, system.folders.data, system.claim ?? "");
  return { system, ports, own, other: await startOther(subject, folder, system) };
}

async function startOther(subject: Subject, folder: string, { folders }: LocalSystem): Promise<Tenant> {
  const org = "verify-other";
  const ports = await choosePorts(undefined);
  const state = join(folder, "other");
  mkdirSync(state, { mode: 0o700 });
  await startEdge(subject, folder, folders.control, org, ports);
  const at = (name: keyof Ports) => `localhost:${ports[name]}`;
  const { code } = await runErrand<{ code: string }>("control", [
    ...["enroll-code", "--state", folders.control, "--org", org, "--cluster", tenantCluster],
    ...["--edge-address", at("tunnel")],
  ]);
  const { claim } = await runErrand<{ claim: string }>("data", [
    ...["init", "--state", state, "--org", org, "--cluster", tenantCluster, "--enroll-code", code],
    ...services.flatMap((name) => [`--${name}`, `https://${at(name)}`]),
  ]);
  await launch(subject, folder, "data", ["start", "--state", state, "--allow-unsandboxed"]);
  return signIn(org, state, claim);
}

async function startEdge(
  subject: Subject,
  folder: string,
  control: string,
  org: string,
  ports: Ports,
): Promise<void> {
  const state = join(folder, "other-edge");
  mkdirSync(state, { mode: 0o700 });
  await writeEdgeIdentity(control, state);
  await writeEdgeConfig({ folder: state, org, cluster: tenantCluster, ports });
  await launch(subject, folder, "edge", ["--state", state]);
}

async function launch(subject: Subject, folder: string, program: "edge" | "data", parameters: string[]) {
  const logPath = join(folder, "logs", `other-${program}.log`);
  const plane = new PlaneProcess({ program, parameters, logPath, environment: environmentOf.data });
  subject.undo.add(() => plane.stop());
  await plane.ready();
}

async function signIn(org: string, state: string, claim: string): Promise<Tenant> {
  const path = join(state, "profile.json");
  const profile = await readProfile(path);
  // The data plane is ready before its tunnel is.
  const credentials = await eventually(() => redeemClaim(profile, claim), Boolean, {
    withinMs: 30_000,
    what: `The authority of ${org} being reached through its edge`,
  });
  if (credentials === undefined) throw new BiplaneError("internal", "The new plane gave no administrator.");
  const clientSecret = new Secret(credentials.clientSecret);
  const connection = await openConnection({ profile: path, clientId: credentials.clientId, clientSecret });
  return { org, cluster: tenantCluster, profile, connection, state };
}
