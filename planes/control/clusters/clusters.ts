/** Clusters as the index knows them: where they are, which certificates they may show, how fresh their state is. */
import { BiplaneError } from "@biplane/base";
import { type Cluster, ClusterSchema, type Hello } from "@biplane/control-wire";
import { create } from "@bufbuild/protobuf";
import { toTimestamp } from "../runs/rows.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import type { ClusterPeer } from "./peer.ts";

export interface NewCertificate {
  readonly org: string;
  readonly cluster: string;
  readonly fingerprint: Uint8Array;
  readonly expiresAtMs: number;
}

/** Certificates that were issued before a new enrollment are worth nothing after it. */
export async function replaceCertificates(
  transaction: ControlTransaction,
  certificate: NewCertificate,
): Promise<void> {
  const { org, cluster } = certificate;
  await transaction
    .deleteFrom("cluster_certificate")
    .where((where) => where.and({ org_id: org, cluster }))
    .execute();
  await addCertificate(transaction, certificate);
}

export async function addCertificate(
  transaction: ControlTransaction,
  { org, cluster, fingerprint, expiresAtMs }: NewCertificate,
): Promise<void> {
  await transaction
    .insertInto("cluster_certificate")
    .values({ org_id: org, cluster, fingerprint, expires_at: expiresAtMs })
    .execute();
}

/** Throws `unauthenticated` where the certificate was replaced or belongs to no cluster. */
export async function requireKnownCertificate(store: Store, peer: ClusterPeer, nowMs: number): Promise<void> {
  const row = await store.asOrg(peer.org, (transaction) =>
    transaction
      .selectFrom("cluster_certificate")
      .select("expires_at")
      .where((where) => where.and({ org_id: peer.org, cluster: peer.cluster, fingerprint: peer.fingerprint }))
      .executeTakeFirst(),
  );
  if (row !== undefined && row.expires_at > nowMs) return;
  throw new BiplaneError(
    "unauthenticated",
    {
      what: "This certificate is not one of the cluster's present ones.",
      why: "It expired, or the cluster was enrolled again since.",
      next: "Enroll this data plane with a new code.",
    },
    { reason: "certificate_unknown" },
  );
}

export async function recordHello(
  store: Store,
  transaction: ControlTransaction,
  peer: ClusterPeer,
  hello: Hello,
  nowMs: number,
): Promise<void> {
  await transaction
    .updateTable("cluster")
    .set({
      region: hello.region,
      software_version: hello.softwareVersion,
      router_address_sealed: store.seal(addressPlace(peer.org, peer.cluster), hello.routerAddress),
      last_seen_at: nowMs,
    })
    .where((where) => where.and({ org_id: peer.org, name: peer.cluster }))
    .execute();
}

export async function recordSeen(store: Store, peer: ClusterPeer, nowMs: number): Promise<void> {
  await store.asOrg(peer.org, (transaction) =>
    transaction
      .updateTable("cluster")
      .set({ last_seen_at: nowMs })
      .where((where) => where.and({ org_id: peer.org, name: peer.cluster }))
      .execute(),
  );
}

export async function listClusters(
  store: Store,
  org: string,
  isConnected: (cluster: string) => boolean,
): Promise<Cluster[]> {
  const { clusters, certificates, positions } = await store.asOrg(org, async (transaction) => ({
    clusters: await transaction
      .selectFrom("cluster")
      .selectAll()
      .where("org_id", "=", org)
      .orderBy("name")
      .execute(),
    certificates: await transaction
      .selectFrom("cluster_certificate")
      .selectAll()
      .where("org_id", "=", org)
      .orderBy("expires_at")
      .execute(),
    positions: await transaction
      .selectFrom("link_cursor")
      .select(["cluster", "as_of"])
      .where("org_id", "=", org)
      .where("state", "!=", "superseded")
      .execute(),
  }));
  return clusters.map((row) =>
    create(ClusterSchema, {
      name: row.name,
      region: row.region,
      routerAddress:
        row.router_address_sealed === null
          ? ""
          : store.open(addressPlace(org, row.name), row.router_address_sealed),
      connected: isConnected(row.name),
      lastSeenAt: toTimestamp(row.last_seen_at),
      certificateFingerprint:
        certificates.findLast((one) => one.cluster === row.name)?.fingerprint ?? new Uint8Array(),
      asOf: toTimestamp(newest(positions.filter((one) => one.cluster === row.name).map((one) => one.as_of))),
      softwareVersion: row.software_version,
    }),
  );
}

function newest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.max(...known);
}

function addressPlace(org: string, cluster: string) {
  return { org, table: "cluster", column: "router_address", key: [cluster] } as const;
}
