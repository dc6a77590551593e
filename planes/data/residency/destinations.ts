/** Everything that a data plane connects to, from its own settings: `biplane egress` prints it, and it holds (claim RES-4). */
import { getServers } from "node:dns";
import { isIP } from "node:net";
import { type Destination, databaseDestination } from "@biplane/kit/egress";
import type { KeyProviderConfig } from "../keys/open-provider.ts";

export interface DestinationSettings {
  /** `host:port` */
  readonly linkAddress: string | undefined;
  /** `host:port`; undefined where the plane dials no edge. */
  readonly edgeAddress: string | undefined;
  readonly databaseUrl: string | undefined;
  readonly keys: KeyProviderConfig;
  readonly identityIssuer: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

const httpsPort = 443;

export function destinationsOf(settings: DestinationSettings): readonly Destination[] {
  return [
    ...atAddress("control plane", settings.linkAddress),
    ...atAddress("tunnel edge", settings.edgeAddress),
    ...databaseOf(settings.databaseUrl),
    ...keysOf(settings),
    ...(settings.identityIssuer === undefined ? [] : [atUrl("identity provider", settings.identityIssuer)]),
  ];
}

/** Endpoints that an identity provider names in its discovery document; they need not be on the issuer's host. */
export function namedByProvider(urls: readonly (string | undefined)[]): readonly Destination[] {
  return urls.flatMap((url) => (url === undefined ? [] : [atUrl("identity provider", url)]));
}

/** Of a cluster that joined: its home, which signs in people and renews its certificate. */
export function homeDestinations(addresses: readonly string[]): readonly Destination[] {
  return addresses.map((address) => atUrl("home cluster", address));
}

const dnsPort = 53;

/** The machine's name servers, where any of the hosts is a name that they would be asked for. */
export function resolversFor(
  hosts: readonly string[],
  servers: readonly string[] = getServers(),
): readonly Destination[] {
  if (hosts.every((host) => isIP(host) !== 0 || host === "localhost")) return [];
  return servers.map((server) => {
    // As Node writes one at another port than the usual.
    const other = /^(?:\[(?<six>.+)\]|(?<four>[0-9.]+)):(?<port>\d+)$/.exec(server)?.groups;
    const host = other?.["six"] ?? other?.["four"] ?? server;
    return { purpose: "name resolution", host, port: Number(other?.["port"] ?? dnsPort) };
  });
}

function atAddress(purpose: string, address: string | undefined): Destination[] {
  if (address === undefined || address === "") return [];
  return [atUrl(purpose, `https://${address}`)];
}

function atUrl(purpose: string, text: string): Destination {
  const { hostname, port } = new URL(text);
  return { purpose, host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? httpsPort : Number(port) };
}

function databaseOf(url: string | undefined): Destination[] {
  const destination = url === undefined ? undefined : databaseDestination(url);
  return destination === undefined ? [] : [destination];
}

function keysOf({ keys, environment }: DestinationSettings): Destination[] {
  if (keys.kind !== "aws-kms") return [];
  const domain = keys.region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  const endpoint = keys.endpoint ?? `https://kms.${keys.region}.${domain}`;
  return [atUrl("keys", endpoint), ...credentialsOf(keys.region, domain, environment)];
}

/** Where AWS's default chain asks for credentials: nowhere where they are in the environment. */
function credentialsOf(region: string, domain: string, environment: NodeJS.ProcessEnv): Destination[] {
  if (environment["AWS_ACCESS_KEY_ID"]) return [];
  const purpose = "credentials for keys";
  const full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  return [
    { purpose, host: `sts.${region}.${domain}`, port: httpsPort },
    // The machine's own instance and container metadata, https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
    { purpose, host: "169.254.169.254", port: 80 },
    { purpose, host: "169.254.170.2", port: 80 },
    ...(full === undefined || !URL.canParse(full) ? [] : [plainUrl(purpose, new URL(full))]),
  ];
}

function plainUrl(purpose: string, { hostname, port, protocol }: URL): Destination {
  return { purpose, host: hostname, port: Number(port || (protocol === "https:" ? httpsPort : 80)) };
}
