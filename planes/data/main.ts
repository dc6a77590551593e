/** `biplane data`: makes a data plane (`init`) and runs it (`start`). Prints one JSON line when done or ready. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BiplaneError, isBiplaneError, parseClusterId, parseOrgId } from "@biplane/base";
import { required } from "@biplane/kit/config";
import { runUntilSignal } from "@biplane/kit/lifecycle";
import { createLogger, type Logger } from "@biplane/kit/logging";
import { readConfig } from "./config.ts";
import type { Installation } from "./execution/sandbox/types.ts";
import { initialize, newClaim } from "./init.ts";
import { readKeyProvider } from "./keys/open-provider.ts";
import { startDataPlane } from "./server.ts";
import { defaultStateFolder, statePaths } from "./state.ts";

const softwareVersion = "0.1.0";
const log = createLogger({ component: "data" });

const usage = `biplane data init  --org O --cluster C --enroll-code CODE [--state DIR] [--region R]
                   [--router URL] [--authority URL] [--objects URL] [--database-url URL]
                   [--keys FILE]     where the customer's keys are, as JSON: {"kind": "aws-kms", "region": …}
biplane data init  --new-claim [--state DIR]     a new one-time claim, while the plane is stopped
biplane data start [--state DIR] [--edge HOST:PORT | --listen] [--slots N] [--sandboxes N]
                   [--task-modules DIR] [--allow-unsandboxed] [--audit-days N] [--database-url URL]
`;

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      state: { type: "string" },
      org: { type: "string" },
      cluster: { type: "string" },
      "enroll-code": { type: "string" },
      "new-claim": { type: "boolean" },
      region: { type: "string" },
      router: { type: "string" },
      authority: { type: "string" },
      objects: { type: "string" },
      "database-url": { type: "string" },
      keys: { type: "string" },
      edge: { type: "string" },
      listen: { type: "boolean" },
      "audit-days": { type: "string" },
      slots: { type: "string" },
      sandboxes: { type: "string" },
      "task-modules": { type: "string" },
      "allow-unsandboxed": { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
}
type Options = ReturnType<typeof parse>["values"];

async function main(): Promise<void> {
  const { values, positionals } = parse();
  const [command = "start"] = positionals;
  if (values.help) return void process.stdout.write(usage);
  if (command === "init") return values["new-claim"] ? renewClaim(values) : init(values);
  if (command === "start") return start(values, log);
  throw new BiplaneError("invalid_argument", {
    what: `biplane data has no command ${JSON.stringify(command)}.`,
    next: `Use one of these:\n${usage}`,
  });
}

async function init(values: Options): Promise<void> {
  const { router, authority, objects } = values;
  const result = await initialize({
    state: stateFolder(values),
    org: parseOrgId(required(values.org, "--org", "BIPLANE_ORG")),
    cluster: parseClusterId(required(values.cluster, "--cluster", "BIPLANE_CLUSTER")),
    enrollCode: required(values["enroll-code"], "--enroll-code", "BIPLANE_ENROLL_CODE"),
    region: values.region ?? process.env["BIPLANE_REGION"] ?? "local",
    addresses: {
      ...(router === undefined ? {} : { router }),
      ...(authority === undefined ? {} : { authority }),
      ...(objects === undefined ? {} : { objects }),
    },
    databaseUrl: databaseUrl(values),
    keys: await readKeyProvider(values.keys),
    log,
  });
  const { org, cluster, addresses } = result.config;
  const claimUrl = `${addresses.authority}/claim`;
  print({ initialized: true, org, cluster, profile: result.profile, claim: result.claim.reveal(), claimUrl });
}

async function renewClaim(values: Options): Promise<void> {
  const state = stateFolder(values);
  const { org, addresses } = await readConfig(statePaths(state).config);
  const claim = await newClaim(state, org, databaseUrl(values));
  print({ claim: claim.reveal(), claimUrl: `${addresses.authority}/claim` });
}

async function start(values: Options, logger: Logger): Promise<void> {
  const plane = await startDataPlane({
    state: stateFolder(values),
    databaseUrl: databaseUrl(values),
    installation: findInstallation(values["task-modules"]),
    slots: parseCount("--slots", values.slots, "of tasks that compute at once"),
    sandboxes: parseCount("--sandboxes", values.sandboxes, "of sandboxes at once, waiting tasks' included"),
    allowUnsandboxed: values["allow-unsandboxed"] ?? false,
    listen: values.listen ?? false,
    auditDays: parseCount(
      "--audit-days",
      values["audit-days"],
      "of days that audit records are kept",
      36_500,
    ),
    edge: values.edge ?? process.env["BIPLANE_EDGE"],
    softwareVersion,
    log: logger,
  });
  const { org, cluster, addresses } = plane.config;
  const { linkConnected, isOpen, sandboxKind } = plane;
  print({ ready: true, org, cluster, ...addresses, linkConnected, open: isOpen, sandbox: sandboxKind });
  await runUntilSignal(plane, logger);
}

function stateFolder(values: Options): string {
  return resolve(values.state ?? process.env["BIPLANE_DATA_STATE"] ?? defaultStateFolder());
}

function databaseUrl(values: Options): string | undefined {
  return values["database-url"] ?? process.env["BIPLANE_DATABASE_URL"];
}

/** Where this file was shipped: the worker and the SDK are beside it, the task modules above it. */
function findInstallation(taskModules: string | undefined): Installation {
  const dist = import.meta.dirname;
  return {
    node: process.execPath,
    dist,
    taskModules: taskModules === undefined ? findModules(dist) : resolve(taskModules),
  };
}

function findModules(from: string): string | undefined {
  const candidate = join(from, "node_modules");
  if (existsSync(candidate)) return candidate;
  const parent = dirname(from);
  return parent === from ? undefined : findModules(parent);
}

function parseCount(
  option: string,
  text: string | undefined,
  meaning: string,
  most = 1_024,
): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (Number.isInteger(count) && count > 0 && count <= most) return count;
  throw new BiplaneError("invalid_argument", {
    what: `${option} ${text} can't be used.`,
    why: `It is the number ${meaning}, from 1 to ${most}.`,
  });
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const message = isBiplaneError(error) ? error.message : String((error as Error).stack ?? error);
    process.stderr.write(`${message}\n`);
    process.exit(1);
  },
);
