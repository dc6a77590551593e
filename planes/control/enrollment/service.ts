/** EnrollmentService: a data plane with a code gets the certificate that names it, and renews it later. */
import { createHash, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { BiplaneError, parseClusterId, parseOrgId } from "@biplane/base";
import type { EnrollmentService, EnrollRequest } from "@biplane/control-wire";
import type { Clock } from "@biplane/kit";
import type { ServiceImpl } from "@connectrpc/connect";
import { recordAllowed } from "../audit/allow.ts";
import { addCertificate, type NewCertificate, replaceCertificates } from "../clusters/clusters.ts";
import { requireCluster } from "../clusters/peer.ts";
import type { SignedDocuments } from "../documents/documents.ts";
import type { ControlTransaction, Store } from "../store/open.ts";
import type { ProviderAuthority } from "./authority.ts";
import { type ClusterAddresses, redeemCode } from "./codes.ts";
import { checkTokenKeys, pinRoot, requirePinnedRegions } from "./organizations.ts";
import { verifyEnrollmentStatement } from "./statement.ts";

export interface EnrollmentDependencies {
  readonly store: Store;
  readonly documents: Pick<SignedDocuments, "isReplaced">;
  readonly clock: Clock;
  readonly authority: ProviderAuthority;
  readonly region: string;
  /** As data planes dial it. Known only once the listener has its port. */
  readonly linkAddress: () => string;
}

export function createEnrollmentService(
  dependencies: EnrollmentDependencies,
): ServiceImpl<typeof EnrollmentService> {
  const { store, authority } = dependencies;
  return {
    enroll: (request, context) => enroll(dependencies, request, () => recordAllowed(context.values)),
    renew: async (request, context) => {
      const { org, cluster, publicHosts } = requireCluster(context.values);
      await recordAllowed(context.values);
      const pem = await authority.signCluster(request.certificateRequest, org, cluster, publicHosts);
      await store.asOrg(org, (transaction) => addCertificate(transaction, describe(org, cluster, pem)));
      return { certificate: derOf(pem) };
    },
  };
}

async function enroll(
  dependencies: EnrollmentDependencies,
  request: EnrollRequest,
  allowed: () => Promise<void>,
) {
  const { store, clock, authority } = dependencies;
  const org = parseOrgId(request.org);
  const cluster = parseClusterId(request.cluster);
  const nowMs = clock.now();
  await verifyEnrollmentStatement(request, authority.rootPem, nowMs);
  const isReplaced = await dependencies.documents.isReplaced(org, request.organizationRoot);
  const { pem, addresses } = await store.asOrg(org, async (transaction) => {
    const proof = request.codeProof;
    const rootHash = createHash("sha256").update(request.organizationRoot).digest();
    const addresses = await redeemCode(store, transaction, { org, cluster, proof, rootHash, nowMs });
    await requirePinnedRegions(transaction, org, dependencies.region, request.metadataRegions);
    await pinRoot(transaction, org, request.organizationRoot, isReplaced);
    // What it shows is right by now; nothing of it has been committed.
    await allowed();
    const hosts = publicHosts(addresses);
    const pem = await authority.signCluster(request.certificateRequest, org, cluster, hosts);
    await recordCluster(transaction, request, nowMs);
    await replaceCertificates(transaction, describe(org, cluster, pem));
    return { pem, addresses };
  });
  return {
    certificate: derOf(pem),
    providerRoot: derOf(authority.rootPem),
    linkAddress: dependencies.linkAddress(),
    edgeAddress: addresses.edge,
    controlPlaneRegion: dependencies.region,
    addresses: Object.entries(addresses.public).map(([service, address]) => ({ service, address })),
  };
}

async function recordCluster(
  transaction: ControlTransaction,
  { org, cluster: name, region, controlTokenKeys }: EnrollRequest,
  nowMs: number,
): Promise<void> {
  checkTokenKeys(controlTokenKeys);
  const enrolled = { region, enrolled_at: nowMs, token_keys: controlTokenKeys };
  const unknown = { software_version: "", router_address_sealed: null, last_seen_at: null };
  await transaction
    .insertInto("cluster")
    .values({ org_id: org, name, ...enrolled, ...unknown })
    .onConflict((conflict) => conflict.columns(["org_id", "name"]).doUpdateSet(enrolled))
    .execute();
}

/** Names that the edge may route to this cluster by server name; addresses and `localhost` belong to nobody. */
function publicHosts(addresses: ClusterAddresses): string[] {
  const hosts = Object.values(addresses.public).map((address) => new URL(`https://${address}`).hostname);
  return [...new Set(hosts)].filter(
    (host) => host !== "localhost" && isIP(host.replace(/^\[|\]$/g, "")) === 0,
  );
}

function describe(org: string, cluster: string, pem: string): NewCertificate {
  const certificate = new X509Certificate(pem);
  const fingerprint = Buffer.from(certificate.fingerprint256.replaceAll(":", ""), "hex");
  return { org, cluster, fingerprint, expiresAtMs: certificate.validToDate.getTime() };
}

function derOf(pem: string): Uint8Array {
  try {
    return new Uint8Array(new X509Certificate(pem).raw);
  } catch (cause) {
    throw new BiplaneError("internal", "A certificate of our own can't be read.", { cause });
  }
}
