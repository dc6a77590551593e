/** Options of `biplane control`: command line, else environment, else a default that is safe. */
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BiplaneError, day, parseRegionRestriction, second } from "@biplane/base";
import { wrongOption } from "@biplane/kit/config";
import { addressesSchema } from "./enrollment/codes.ts";

const options = {
  state: { type: "string" },
  listen: { type: "string" },
  advertise: { type: "string" },
  region: { type: "string" },
  "database-url": { type: "string" },
  "edge-address": { type: "string" },
  "public-address": { type: "string", multiple: true },
  "metadata-region": { type: "string", multiple: true },
  org: { type: "string" },
  cluster: { type: "string" },
  "lifetime-minutes": { type: "string" },
  root: { type: "string" },
  "audit-days": { type: "string" },
  "cluster-certificate-seconds": { type: "string" },
  out: { type: "string" },
  host: { type: "string", multiple: true },
  "stop-with-stdin": { type: "boolean" },
} as const;

export const usage = `biplane control start [--state DIR] [--listen HOST:PORT] [--advertise HOST:PORT] [--region R] [--database-url URL]
                      [--edge-address HOST:PORT] [--public-address SERVICE=HOST:PORT]...
                      [--audit-days N] [--cluster-certificate-seconds N]
                      [--stop-with-stdin]   end when standard input does
biplane control init [--state DIR]
biplane control create-org --org O [--metadata-region R]...       where its names and times may be, as eu-*
biplane control enroll-code --org O --cluster C [--lifetime-minutes N] [--root FINGERPRINT]
biplane control edge-identity --out DIR --host HOST...            the files that biplane edge reads
biplane control accept-restore --org O --cluster C                a cluster's audit log goes on from a backup
biplane control decide       reads a policy and questions as lines of JSON, and says what this program decides

State: --state or BIPLANE_CONTROL_STATE. Also BIPLANE_DATABASE_URL, BIPLANE_CONTROL_LISTEN, BIPLANE_CONTROL_ADVERTISE,
BIPLANE_REGION and BIPLANE_CLUSTER_CERTIFICATE_SECONDS.
`;

export function asksForHelp(parameters: readonly string[]): boolean {
  return parameters.some((word) => word === "--help" || word === "-h") || parameters[0] === "help";
}

const commands = [
  "init",
  "start",
  "create-org",
  "enroll-code",
  "edge-identity",
  "accept-restore",
  "decide",
] as const;
export type Command = (typeof commands)[number];

export interface ControlOptions {
  readonly command: Command;
  readonly state: string;
  readonly databaseUrl: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly advertise: string | undefined;
  /** As declared here; undefined: as it was declared before. */
  readonly region: string | undefined;
  readonly metadataRegions: readonly string[];
  readonly addresses: ReturnType<typeof addressesSchema.parse>;
  readonly org: string;
  readonly cluster: string;
  readonly lifetimeMinutes: number;
  /** Of the organization's root, hex. */
  readonly rootFingerprint: string | undefined;
  /** Undefined: records are kept for ever. */
  readonly auditKeptMs: number | undefined;
  /** How long the certificates of clusters are good for; undefined: 30 days. */
  readonly clusterCertificateMs: number | undefined;
  /** End when standard input does. */
  readonly stopWithInput: boolean;
  readonly out: string;
  readonly hosts: readonly string[];
}

export function readOptions(parameters: readonly string[], environment: NodeJS.ProcessEnv): ControlOptions {
  const { values, command } = parse(parameters);
  const { host, port } = parseAddress(
    values.listen ?? environment["BIPLANE_CONTROL_LISTEN"] ?? "127.0.0.1:8447",
  );
  return {
    command,
    state: values.state ?? environment["BIPLANE_CONTROL_STATE"] ?? defaultState(),
    databaseUrl: values["database-url"] ?? environment["BIPLANE_DATABASE_URL"],
    host,
    port,
    advertise: values.advertise ?? environment["BIPLANE_CONTROL_ADVERTISE"],
    region: values.region ?? environment["BIPLANE_REGION"],
    addresses: parseAddresses(values["edge-address"], values["public-address"] ?? []),
    metadataRegions: (values["metadata-region"] ?? []).map(parseRegionRestriction),
    org: values.org ?? "",
    cluster: values.cluster ?? "",
    lifetimeMinutes: Number(values["lifetime-minutes"] ?? 60),
    rootFingerprint: parseFingerprint(values.root),
    auditKeptMs: times(
      parseCount("--audit-days", values["audit-days"], "days that audit records are kept", auditDaysMax),
      day,
    ),
    clusterCertificateMs: times(
      parseCount(
        "--cluster-certificate-seconds",
        values["cluster-certificate-seconds"] ?? environment["BIPLANE_CLUSTER_CERTIFICATE_SECONDS"],
        "seconds that a cluster's certificate is good for",
        certificateSecondsMax,
      ),
      second,
    ),
    stopWithInput: values["stop-with-stdin"] ?? false,
    out: values.out ?? "",
    hosts: values.host ?? [],
  };
}

function parse(parameters: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...parameters], options, allowPositionals: true });
    const [command = "start", ...rest] = positionals;
    if (!(commands as readonly string[]).includes(command) || rest.length > 0)
      throw unknownCommand(positionals.join(" "));
    return { values, command: command as Command };
  } catch (error) {
    if (error instanceof BiplaneError) throw error;
    throw new BiplaneError("invalid_argument", {
      what: wrongOption(error) ?? (error as Error).message,
    });
  }
}

/** `host:port`; the port may be 0, which takes a free one. */
function parseAddress(address: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new BiplaneError("invalid_argument", {
      what: `${JSON.stringify(address)} is not an address.`,
      next: "Give --listen (or BIPLANE_CONTROL_LISTEN) as HOST:PORT.",
    });
  }
  return { host: match[1]!.replace(/^\[|\]$/g, ""), port };
}

const auditDaysMax = 36_500;
const certificateSecondsMax = (365 * day) / second;

function parseCount(
  option: string,
  text: string | undefined,
  meaning: string,
  most: number,
): number | undefined {
  const count = Number(text);
  if (text === undefined) return undefined;
  if (Number.isInteger(count) && count > 0 && count <= most) return count;
  throw new BiplaneError("invalid_argument", {
    what: `${option} ${text} can't be used.`,
    next: `Give the number of ${meaning}, from 1 to ${most}.`,
  });
}

function times(count: number | undefined, unitMs: number): number | undefined {
  return count === undefined ? undefined : count * unitMs;
}

function parseFingerprint(text: string | undefined): string | undefined {
  if (text === undefined || /^[0-9a-f]{64}$/.test(text)) return text;
  throw new BiplaneError("invalid_argument", {
    what: "The root's fingerprint is not right.",
    next: "Give --root the 64 hexadecimal digits that `biplane data init` printed.",
  });
}

function parseAddresses(edge: string | undefined, given: readonly string[]) {
  const entries = given.map((one) => {
    const [service, address] = one.split(/=(.*)/s);
    return [service, address] as const;
  });
  const parsed = addressesSchema.safeParse({ edge: edge ?? "", public: Object.fromEntries(entries) });
  if (parsed.success) return parsed.data;
  throw new BiplaneError("invalid_argument", {
    what: "A public address is not right.",
    next: "Give --public-address SERVICE=HOST:PORT, the service being router, authority or objects.",
  });
}

function defaultState(): string {
  return join(homedir(), ".local", "share", "biplane", "control");
}

function unknownCommand(text: string): BiplaneError {
  return new BiplaneError("invalid_argument", {
    what: `There is no command ${JSON.stringify(text)} of biplane control.`,
    next: `Commands: ${commands.join(", ")}.`,
  });
}
