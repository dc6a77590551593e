/** `biplane control`: runs the control plane, or does one of its operator's errands. */
import { join } from "node:path";
import { BiplaneError, isBiplaneError, parseClusterId, parseOrgId } from "@biplane/base";
import { createDecisionLines } from "@biplane/identity/decision-lines";
import { Closers, createLogger, type Logger, runUntilEnd, writeFileDurably } from "@biplane/kit";
import { answerLines } from "@biplane/kit/answer-lines";
import { databaseDestination, Egress } from "@biplane/kit/egress";
import { type Admin, createLocalAdmin } from "./admin/admin.ts";
import { findRunningAdmin } from "./admin/socket.ts";
import { asksForHelp, type ControlOptions, readOptions, usage } from "./options.ts";
import { startControlPlane } from "./server.ts";
import { openState } from "./state.ts";

async function main(log: Logger): Promise<void> {
  if (asksForHelp(process.argv.slice(2))) return void process.stdout.write(usage);
  const options = readOptions(process.argv.slice(2), process.env);
  switch (options.command) {
    case "start":
      return start(options, log);
    case "init":
      return withAdmin(options, async () => print({ initialized: true, state: options.state }));
    case "create-org":
      return withAdmin(options, async (admin) =>
        print(
          await admin.run("create-org", { org: options.org, metadataRegions: [...options.metadataRegions] }),
        ),
      );
    case "enroll-code": {
      const { org, cluster, lifetimeMinutes, addresses, rootFingerprint } = options;
      const parameters = {
        org: parseOrgId(org),
        cluster: parseClusterId(cluster),
        lifetimeMinutes,
        addresses,
        ...(rootFingerprint === undefined ? {} : { root: rootFingerprint }),
      };
      return withAdmin(options, async (admin) => print(await admin.run("enroll-code", parameters)));
    }
    case "accept-restore": {
      const { org, cluster } = options;
      return withAdmin(options, async (admin) => print(await admin.run("accept-restore", { org, cluster })));
    }
    case "edge-identity":
      requireEdge(options);
      return withAdmin(options, (admin) => writeEdgeIdentity(options, admin));
    case "decide":
      return answerLines(process.stdin, process.stdout, createDecisionLines());
  }
}

async function start(options: ControlOptions, log: Logger): Promise<void> {
  // Two processes on one embedded database would destroy it.
  if ((await findRunningAdmin(options.state)) !== undefined) throw alreadyRunning(options.state);
  enforceEgress(options.databaseUrl);
  const closers = new Closers();
  const state = closers.add(
    await openState({
      folder: options.state,
      databaseUrl: options.databaseUrl,
      region: options.region,
      auditKeptMs: options.auditKeptMs,
      clusterCertificateMs: options.clusterCertificateMs,
      log,
    }),
  );
  const { host, port, advertise, addresses } = options;
  const plane = closers.add(await startControlPlane({ state, host, port, advertise, addresses, log }));
  print({ ready: true, link: { host: plane.host, port: plane.port } });
  await runUntilEnd(closers, log, { stateFolder: options.state, stopWithInput: options.stopWithInput });
}

/** A control plane connects to nothing but its own database: clusters and edges come to it. */
function enforceEgress(databaseUrl: string | undefined): void {
  const egress = new Egress();
  const database = databaseUrl === undefined ? undefined : databaseDestination(databaseUrl);
  if (database !== undefined) egress.allow(database);
  egress.onRefused((target) => log.error({ event: "egress_refused", ...target }, "a connection was refused"));
  egress.enforce();
}

/** Asks the running process where there is one; else opens the state itself. */
async function withAdmin(options: ControlOptions, work: (admin: Admin) => Promise<void>): Promise<void> {
  const running = await findRunningAdmin(options.state);
  if (running !== undefined) return work(running);
  const { state: folder, databaseUrl, region } = options;
  const state = await openState({ folder, databaseUrl, region });
  try {
    const linkAddress = () => options.advertise ?? `localhost:${options.port}`;
    await work(createLocalAdmin({ state, linkAddress, addresses: options.addresses }));
  } finally {
    await state.close();
  }
}

/** Before anything is opened, since opening makes what is missing. */
function requireEdge({ out, hosts }: ControlOptions): void {
  if (out !== "" && hosts.length > 0) return;
  throw new BiplaneError("invalid_argument", {
    what: "edge-identity needs a folder and the edge's host names.",
    next: "Give --out DIR and --host HOST, which may be repeated.",
  });
}

/** Files as `biplane edge` reads them from its state folder. */
async function writeEdgeIdentity({ out, hosts }: ControlOptions, admin: Admin): Promise<void> {
  const identity = await admin.run("edge-identity", { hosts: [...hosts] });
  await writeFileDurably(join(out, "identity.key"), identity.privateKeyPem);
  await writeFileDurably(join(out, "identity.crt"), identity.certificatePem, 0o644);
  await writeFileDurably(join(out, "clients-ca.crt"), identity.clientAuthorityPem, 0o644);
  print({ written: out });
}

function alreadyRunning(folder: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `A control plane is running on ${folder} already.`,
    next: "Stop it first, or choose another folder with --state.",
  });
}

/** The one line on standard output that programs read; logs go to standard error. */
function print(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

const log = createLogger({ component: "control" });
try {
  await main(log);
} catch (error) {
  const text = isBiplaneError(error) ? error.message : `Something failed inside: ${(error as Error).message}`;
  process.stderr.write(`biplane control: ${text}\n`);
  if (!isBiplaneError(error)) log.fatal({ event: "failed", error }, "failed");
  process.exitCode = isBiplaneError(error, "invalid_argument") ? 2 : 1;
}
