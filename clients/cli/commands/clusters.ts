/** Clusters of the organization, for administrators: codes for further ones, and taking them off the list. */
import { X509Certificate } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import type { ListedCluster } from "@biplane/identity";
import type { Connection } from "@biplane/sdk/remote";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { parseDuration } from "../inputs.ts";
import { printRecord } from "../output/print.ts";
import type { Column } from "../output/table.ts";
import { time } from "../output/text.ts";
import { planeNumbers } from "./audit-verify.ts";
import { type CommonOptions, connectWith, withCommonOptions } from "./common.ts";

/**
 * The signed list, checked here, with what each router shows to whoever dials it: for people to compare with what the
 * control plane says (`--from control-plane`) and with what the clusters' own machines say.
 */
export async function listedRecords(connection: Connection) {
  const clusters = await connection.clusters();
  return Promise.all(clusters.map((one) => listedRecord(connection, one)));
}

export type ListedRecord = Awaited<ReturnType<typeof listedRecord>>;

export const listedColumns: readonly Column<ListedRecord>[] = [
  { title: "CLUSTER", value: (one) => one.cluster },
  { title: "HOME", value: (one) => one.home },
  { title: "REGION", value: (one) => one.region },
  { title: "ROUTER", value: (one) => one.router },
  { title: "CERTIFICATE (SHA-256)", value: (one) => one.certificate },
  { title: "INTERMEDIATE (SHA-256)", value: (one) => one.intermediate },
  { title: "ROOT (SHA-256)", value: (one) => one.root },
];

async function listedRecord(
  { http, profile }: Connection,
  { name, region, router, objects, authority, fingerprint }: ListedCluster,
) {
  // A router that is away now is in the list all the same.
  const certificate = await http.certificateAt(router).catch(() => "not reached");
  return {
    ...{ cluster: name, home: authority === undefined ? "" : "yes", region, router, objects },
    ...{ certificate, intermediate: fingerprint, root: fingerprintOf(profile.rootPem) },
  };
}

/** Of the root that this machine believes, not of what its profile says of it. */
function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** What is wrong between the planes; whoever may not read the audit log is told nothing of it. */
export async function alarmsOf(connection: Connection): Promise<string[]> {
  const alarms = Object.entries(planeNumbers).map(async ([plane, number]) => {
    const log = await connection.audit.getLog({ plane: number }).catch(() => undefined);
    return (log?.alarms ?? []).map((alarm) => `${alarm} (audit log of the ${plane} plane)`);
  });
  return (await Promise.all(alarms)).flat();
}

interface NewClusterOptions extends CommonOptions {
  readonly router: string;
  readonly objects: string;
  readonly expires: string;
}

export function createClusterCommand(): Command {
  return withCommonOptions(
    new Command("cluster")
      .description("make a code by which a further cluster joins, once: `biplane data join CODE`")
      .argument("<name>", "lower-case letters, digits and hyphens")
      .requiredOption("--router <address>", "where its router will be, https://HOST:PORT")
      .requiredOption("--objects <address>", "where its object store will be, https://HOST:PORT")
      .option("--expires <duration>", "how long the code works, at most 7d", "1h"),
  ).action(createCluster);
}

async function createCluster(cluster: string, options: NewClusterOptions): Promise<void> {
  const lifetime = parseDuration(options.expires);
  if (lifetime === undefined) {
    throw new BiplaneError("invalid_argument", "--expires has to be a duration like 1h or 2d.");
  }
  const { membership } = await connectWith(options);
  const { code, rootFingerprint, expiresAt } = await membership.createJoinCode({
    cluster,
    router: options.router,
    objects: options.objects,
    expiresAt: timestampFromMs(Date.now() + lifetime.milliseconds),
  });
  printRecord({ cluster, root: rootFingerprint, expires: time(expiresAt), code }, options.output);
}

export function deleteClusterCommand(): Command {
  return withCommonOptions(
    new Command("cluster")
      .description("take a cluster off the organization's list; nobody believes its router any longer")
      .argument("<name>"),
  ).action(async (cluster: string, options: CommonOptions) => {
    await (await connectWith(options)).membership.removeCluster({ cluster });
    printRecord({ cluster, state: "removed" }, options.output);
  });
}
