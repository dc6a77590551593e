/** `biplane data`: makes a data plane (`init`) and runs it (`start`). Prints one JSON line when done or ready. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join as joinPath, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  BiplaneError,
  isBiplaneError,
  parseClusterId,
  parseOrgId,
  parseRegion,
  parseRegionRestriction,
  second,
  undeclaredRegion,
} from "@biplane/base";
import { createDecisionLines } from "@biplane/identity/decision-lines";
import { answerLines } from "@biplane/kit/answer-lines";
import { required, wrongOption } from "@biplane/kit/config";
import { Egress } from "@biplane/kit/egress";
import { runUntilEnd } from "@biplane/kit/lifecycle";
import { createLogger, type Logger } from "@biplane/kit/logging";
import { backUpRoot } from "./backup/backup.ts";
import { readPassphrase } from "./backup/passphrase.ts";
import { restoreRoot } from "./backup/restore.ts";
import { beginIncarnation } from "./backup/restored.ts";
import { readConfig } from "./config.ts";
import type { Installation } from "./execution/sandbox/types.ts";
import { federationCallback } from "./identity/federation.ts";
import {
  federationPath,
  parseFederation,
  readClientSecret,
  writeFederation,
} from "./identity/federation-config.ts";
import { initialize, newClaim, prepareRoot } from "./init.ts";
import { joinOrganization } from "./join.ts";
import { readKeyProvider } from "./keys/open-provider.ts";
import { acceptRestore, rotateRoot } from "./local-operations.ts";
import { startDataPlane } from "./server.ts";
import type { Addresses } from "./setup.ts";
import { defaultStateFolder, statePaths } from "./state.ts";

const softwareVersion = "0.1.0";
const log = createLogger({ component: "data" });

const usage = `biplane data init  --org O --cluster C --enroll-code CODE [--state DIR] [--region R]
                   [--router URL] [--authority URL] [--objects URL] [--database-url URL]
                   [--metadata-region R]...    where the control plane may be, as eu-*; anywhere by default
                   [--keys FILE]     where the customer's keys are, as JSON: {"kind": "aws-kms", "region": …}
biplane data init  --org O --cluster C [--state DIR]      makes the root first, to bind an enrollment code to it
biplane data join  CODE --enroll-code CODE [--state DIR] [--region R] [--metadata-region R]... [--keys FILE]
                   a further cluster of an organization; CODE: see biplane create cluster
biplane data init  --new-claim [--state DIR]     a new one-time claim, while the plane is stopped
biplane data restored [--state DIR]    the state folder was put back from a backup; once, while the plane is stopped
biplane data federate --issuer URL --client-id ID --client-secret-file FILE [--name TEXT] [--scopes "openid ..."]
                   [--groups-claim NAME] [--group NAME]... [--state DIR]   people sign in at your own provider
biplane data start [--state DIR] [--edge HOST:PORT | --listen] [--slots N] [--sandboxes N]
                   [--task-modules DIR] [--allow-unsandboxed] [--audit-days N] [--database-url URL] [--database-region R]
                   [--log-days N] [--log-gib N]    how long log lines of tasks are kept (30), and how much of them (10)
                   [--policy-lifetime SECONDS]    how long other planes believe what was signed here
                   [--ca FILE] [--access-token-seconds N] [--task-token-seconds N] [--certificate-seconds N]
                   [--stop-with-stdin]    end when standard input does, as with the process that started this one
biplane data decide       reads a policy and questions as lines of JSON, and says what this program decides
biplane data accept-restore [--state DIR]        the control plane's audit log goes on from a backup, and you know why
biplane root backup  FILE [--state DIR] [--passphrase-file FILE] [--database-url URL]
biplane root restore FILE --enroll-code CODE [--state DIR] [--passphrase-file FILE] [--database-url URL]
                     [--router URL] [--authority URL] [--objects URL]
biplane root rotate  [--state DIR]     a new root takes the present one's place, while the plane runs
biplane root rotate  --retire-old [--state DIR]    nobody is led on any more who knows the root before alone
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
      "passphrase-file": { type: "string" },
      "retire-old": { type: "boolean" },
      region: { type: "string" },
      router: { type: "string" },
      authority: { type: "string" },
      objects: { type: "string" },
      "database-url": { type: "string" },
      "database-region": { type: "string" },
      "metadata-region": { type: "string", multiple: true },
      keys: { type: "string" },
      edge: { type: "string" },
      listen: { type: "boolean" },
      "audit-days": { type: "string" },
      "log-days": { type: "string" },
      "log-gib": { type: "string" },
      slots: { type: "string" },
      sandboxes: { type: "string" },
      "task-modules": { type: "string" },
      "policy-lifetime": { type: "string" },
      issuer: { type: "string" },
      "client-id": { type: "string" },
      "client-secret-file": { type: "string" },
      name: { type: "string" },
      scopes: { type: "string" },
      "groups-claim": { type: "string" },
      group: { type: "string", multiple: true },
      ca: { type: "string" },
      "access-token-seconds": { type: "string" },
      "task-token-seconds": { type: "string" },
      "certificate-seconds": { type: "string" },
      "allow-unsandboxed": { type: "boolean" },
      "stop-with-stdin": { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
}
type Options = ReturnType<typeof parse>["values"];

async function main(): Promise<void> {
  const { values, positionals } = parse();
  const [command = "start", ...words] = positionals;
  if (values.help) return void process.stdout.write(usage);
  if (command === "init") return values["new-claim"] ? renewClaim(values) : init(values);
  if (command === "join") return join(words, values);
  if (command === "root") return root(words, values);
  if (command === "restored") return restored(values);
  if (command === "federate") return federate(values);
  if (command === "accept-restore") return print(await acceptRestore(stateFolder(values)));
  if (command === "start") return start(values, log);
  if (command === "decide") return answerLines(process.stdin, process.stdout, createDecisionLines());
  throw new BiplaneError("invalid_argument", {
    what: `biplane data has no command ${JSON.stringify(command)}.`,
    next: `Use one of these:\n${usage}`,
  });
}

async function init(values: Options): Promise<void> {
  const names = {
    state: stateFolder(values),
    org: parseOrgId(required(values.org, "--org", "BIPLANE_ORG")),
    cluster: parseClusterId(required(values.cluster, "--cluster", "BIPLANE_CLUSTER")),
  };
  const enrollCode = values["enroll-code"] ?? process.env["BIPLANE_ENROLL_CODE"];
  if (enrollCode === undefined) return print(await prepareRoot(names));
  const result = await initialize({
    ...names,
    enrollCode,
    ...placesIn(values),
    addresses: addressesIn(values),
    databaseUrl: databaseUrl(values),
    keys: await readKeyProvider(values.keys),
    log,
  });
  const { org, cluster, addresses } = result.config;
  const claimUrl = `${addresses.authority}/claim`;
  print({ initialized: true, org, cluster, profile: result.profile, claim: result.claim.reveal(), claimUrl });
}

async function join([code, ...others]: readonly string[], values: Options): Promise<void> {
  if (code === undefined || others.length > 0) {
    throw new BiplaneError("invalid_argument", {
      what: "A cluster joins by one code.",
      next: `An administrator makes it with \`biplane create cluster\`. Then:\n${usage}`,
    });
  }
  const { config, profile } = await joinOrganization({
    state: stateFolder(values),
    code,
    enrollCode: required(values["enroll-code"], "--enroll-code", "BIPLANE_ENROLL_CODE"),
    ...placesIn(values),
    keys: await readKeyProvider(values.keys),
    log,
  });
  print({ joined: true, org: config.org, cluster: config.cluster, profile, home: config.home?.router });
}

async function root([action, file, ...others]: readonly string[], values: Options): Promise<void> {
  if (action === "rotate" && file === undefined) {
    return print(await rotateRoot(stateFolder(values), values["retire-old"] ?? false));
  }
  if ((action !== "backup" && action !== "restore") || file === undefined || others.length > 0) {
    throw new BiplaneError("invalid_argument", {
      what: "biplane root makes a backup, restores one, or rotates the root.",
      next: `Use one of these:\n${usage}`,
    });
  }
  const passphrase = await readPassphrase(values["passphrase-file"], { isNew: action === "backup" });
  const options = { state: stateFolder(values), databaseUrl: databaseUrl(values), file, passphrase };
  if (action === "backup") return print({ written: file, ...(await backUpRoot(options)) });
  const enrollCode = required(values["enroll-code"], "--enroll-code", "BIPLANE_ENROLL_CODE");
  const { config, profile, identity } = await restoreRoot({
    ...options,
    enrollCode,
    addresses: addressesIn(values),
    log,
  });
  print({ restored: true, org: config.org, cluster: config.cluster, profile, identity });
}

async function renewClaim(values: Options): Promise<void> {
  const state = stateFolder(values);
  const { org, addresses } = await readConfig(statePaths(state).config);
  const claim = await newClaim(state, org, databaseUrl(values));
  print({ claim: claim.reveal(), claimUrl: `${addresses.authority}/claim` });
}

async function restored(values: Options): Promise<void> {
  const state = stateFolder(values);
  const { org, cluster } = await readConfig(statePaths(state).config);
  const incarnation = await beginIncarnation(state, org, databaseUrl(values));
  print({ restored: true, org, cluster, incarnation });
}

/** Counts from the next start on. */
async function federate(values: Options): Promise<void> {
  const file = required(
    values["client-secret-file"],
    "--client-secret-file",
    "BIPLANE_FEDERATION_SECRET_FILE",
  );
  const { name, scopes, group } = values;
  const config = parseFederation({
    version: 1,
    name: name ?? "your organization's account",
    issuer: required(values.issuer, "--issuer", "BIPLANE_FEDERATION_ISSUER"),
    clientId: required(values["client-id"], "--client-id", "BIPLANE_FEDERATION_CLIENT_ID"),
    clientSecretFile: resolve(file),
    ...(scopes === undefined ? {} : { scopes }),
    ...(values["groups-claim"] === undefined ? {} : { groupsClaim: values["groups-claim"] }),
    ...(group === undefined ? {} : { groups: group }),
  });
  await readClientSecret(config);
  const paths = statePaths(stateFolder(values));
  const { addresses } = await readConfig(paths.config);
  await writeFederation(federationPath(paths.identity), config);
  print({
    federated: true,
    issuer: config.issuer,
    redirectUri: `${addresses.authority}${federationCallback}`,
  });
}

async function readAuthority(path: string | undefined): Promise<string | undefined> {
  return path === undefined || path === "" ? undefined : readFile(path, "utf8");
}

async function start(values: Options, logger: Logger): Promise<void> {
  const egress = new Egress();
  egress.enforce();
  const plane = await startDataPlane({
    state: stateFolder(values),
    databaseUrl: databaseUrl(values),
    databaseRegion: values["database-region"] ?? process.env["BIPLANE_DATABASE_REGION"],
    egress,
    installation: findInstallation(values["task-modules"]),
    slots: parseCount("--slots", values.slots, "of tasks that compute at once"),
    sandboxes: parseCount("--sandboxes", values.sandboxes, "of sandboxes at once, waiting tasks' included"),
    allowUnsandboxed: values["allow-unsandboxed"] ?? false,
    accessTokenMs: parseLifetime("--access-token-seconds", values["access-token-seconds"]),
    taskTokenMs: parseLifetime("--task-token-seconds", values["task-token-seconds"]),
    certificateMs: parseLifetime(
      "--certificate-seconds",
      values["certificate-seconds"] ?? process.env["BIPLANE_CERTIFICATE_SECONDS"],
    ),
    extraAuthorityPem: await readAuthority(values.ca ?? process.env["BIPLANE_CA_FILE"]),
    listen: values.listen ?? false,
    auditDays: parseCount(
      "--audit-days",
      values["audit-days"],
      "of days that audit records are kept",
      36_500,
    ),
    logDays: parseCount("--log-days", values["log-days"], "of days that log lines of tasks are kept", 36_500),
    logGib: parseCount("--log-gib", values["log-gib"], "of GiB that log lines of tasks may take", 1_048_576),
    edge: values.edge ?? process.env["BIPLANE_EDGE"],
    documentMs: parseLifetime(
      "--policy-lifetime",
      values["policy-lifetime"] ?? process.env["BIPLANE_POLICY_LIFETIME"],
    ),
    softwareVersion,
    log: logger,
  });
  const { org, cluster, addresses } = plane.config;
  const { linkConnected, isOpen, sandboxKind } = plane;
  print({ ready: true, org, cluster, ...addresses, linkConnected, open: isOpen, sandbox: sandboxKind });
  await runUntilEnd(plane, logger, {
    stateFolder: stateFolder(values),
    stopWithInput: values["stop-with-stdin"],
  });
}

function placesIn(values: Options) {
  return {
    region: parseRegion(values.region ?? process.env["BIPLANE_REGION"] ?? undeclaredRegion),
    metadataRegions: (values["metadata-region"] ?? []).map(parseRegionRestriction),
  };
}

function addressesIn({ router, authority, objects }: Options): Partial<Addresses> {
  return {
    ...(router === undefined ? {} : { router }),
    ...(authority === undefined ? {} : { authority }),
    ...(objects === undefined ? {} : { objects }),
  };
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
  const candidate = joinPath(from, "node_modules");
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

function parseLifetime(option: string, text: string | undefined): number | undefined {
  const seconds = parseCount(option, text, "of seconds that it is believed", 86_400);
  return seconds === undefined ? undefined : seconds * second;
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const wrong = wrongOption(error);
    const message = isBiplaneError(error) ? error.message : String((error as Error).stack ?? error);
    process.stderr.write(`biplane data: ${wrong ?? message}\n`);
    process.exit(isBiplaneError(error, "invalid_argument") || wrong !== undefined ? 2 : 1);
  },
);
