/** What every way of making a data plane ends with: its configuration, and the profile for clients. */
import { BiplaneError, type ClusterId, type OrgId } from "@biplane/base";
import { type Profile, publicClientId } from "@biplane/identity";
import { fingerprint } from "@biplane/kit/certificates";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { type DataPlaneConfig, isAddress, readConfig, writeConfig } from "./config.ts";
import type { Enrollment } from "./link/index.ts";
import type { StatePaths } from "./state.ts";

export type Addresses = DataPlaneConfig["addresses"];

export interface ClusterSettings {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly region: string;
  /** Where the control plane may be; anywhere by default. */
  readonly metadataRegions?: readonly string[];
  /** As given; what is absent comes from the provider. */
  readonly addresses: Partial<Addresses>;
  /** Where the customer's keys are; files by default. */
  readonly keys?: DataPlaneConfig["keys"] | undefined;
  /** Where this is no home cluster. */
  readonly home?: DataPlaneConfig["home"];
}

const bucket = "biplane";
const defaultPorts = { router: 8443, authority: 8444, objects: 8445 } as const;

/** A folder with a configuration is complete. */
export async function requireFresh(paths: StatePaths): Promise<void> {
  if ((await readFileIfAny(paths.config)) === undefined) return;
  const { org, cluster } = await readConfig(paths.config);
  throw new BiplaneError("already_exists", {
    what: `The data plane of cluster ${cluster}, organization ${org}, is in ${paths.folder} already.`,
    next: "Start it with `biplane data start`, or give another folder by --state.",
  });
}

/** Before a one-time code is used up. */
export function requireAddresses(addresses: Partial<Addresses>): void {
  for (const [service, address] of Object.entries(addresses)) requireAddress(service, address);
}

/** As given; else what the provider says; else this machine. */
export function addressesOf(given: Partial<Addresses>, enrollment: Enrollment): Addresses {
  const addressOf = (service: keyof Addresses): string => {
    const announced = enrollment.addresses[service];
    const fallback = `https://${announced ?? `localhost:${defaultPorts[service]}`}`;
    return requireAddress(service, given[service] ?? fallback);
  };
  return { router: addressOf("router"), authority: addressOf("authority"), objects: addressOf("objects") };
}

/** The configuration last: what is not complete can be begun again. */
export async function writeProfileAndConfig(
  paths: StatePaths,
  { org, cluster, region, metadataRegions = [], home, keys = { kind: "file" } }: ClusterSettings,
  addresses: Addresses,
  rootPem: string,
): Promise<DataPlaneConfig> {
  const pinned = { metadataRegions: [...metadataRegions] };
  const shared = { version: 1, org, cluster, region, ...pinned, bucket, keys, addresses } as const;
  const config: DataPlaneConfig = home === undefined ? shared : { ...shared, home };
  await writeProfile(paths, config, rootPem);
  await writeConfig(paths.config, config);
  return config;
}

export async function writeProfile(
  paths: StatePaths,
  config: DataPlaneConfig,
  rootPem: string,
): Promise<void> {
  const profile = `${JSON.stringify(profileOf(config, rootPem), null, 2)}\n`;
  await writeFileDurably(paths.profile, profile, 0o644);
}

function requireAddress(service: string, address: string): string {
  if (isAddress(address)) return address;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(address)} can't be the address of the ${service}.`,
    why: "It has to look like https://HOST:PORT.",
    next: `Give another one by --${service}.`,
  });
}

function profileOf(config: DataPlaneConfig, rootPem: string): Profile {
  return {
    version: 1,
    org: config.org,
    cluster: config.cluster,
    ...config.addresses,
    bucket: config.bucket,
    region: config.region,
    rootPem,
    rootFingerprint: fingerprint(rootPem),
    publicClientId,
  };
}
