/** The home cluster's certificates and its enrollment with a control plane; each made once, and kept when begun again. */
import type { ClusterId, OrgId } from "@biplane/base";
import type { Key } from "@biplane/kit/crypto";
import type { Logger } from "@biplane/kit/logging";
import {
  createCertificates,
  type OrganizationCertificates,
  type Predecessor,
  readCertificates,
} from "./identity/certificates.ts";
import { OrganizationRoot } from "./identity/root.ts";
import { controlTokenKeySet, openSigningKeys, signingKeysPath } from "./identity/signing-keys.ts";
import { type Enrollment, enroll, readEnrollment, withBorderLedger } from "./link/index.ts";
import type { StatePaths } from "./state.ts";

export interface ClusterEnrollment {
  readonly org: OrgId;
  readonly cluster: ClusterId;
  readonly region: string;
  readonly metadataRegions?: readonly string[];
  readonly enrollCode: string;
  /** Of a restored root that took another one's place. */
  readonly predecessor?: Predecessor | undefined;
  readonly log: Logger;
}

export async function enrollHome(
  paths: StatePaths,
  systemKey: Key,
  options: ClusterEnrollment,
): Promise<{ enrollment: Enrollment; rootPem: string }> {
  const certificates = await openHomeCertificates(paths, systemKey, options);
  const enrollment = await enrollOnce(paths, systemKey, certificates, options);
  return { enrollment, rootPem: certificates.root.certificatePem };
}

/** With the control plane, under the cluster's own intermediate. */
export async function enrollOnce(
  paths: StatePaths,
  systemKey: Key,
  certificates: OrganizationCertificates,
  options: ClusterEnrollment,
): Promise<Enrollment> {
  const signingKeys = await openSigningKeys(signingKeysPath(paths.identity), systemKey);
  return (
    (await readEnrollment(paths.link)) ??
    (await withBorderLedger(paths.ledger, systemKey, (ledger) =>
      enroll({
        code: options.enrollCode,
        org: options.org,
        cluster: options.cluster,
        certificates,
        controlTokenKeys: controlTokenKeySet(signingKeys),
        region: options.region,
        ...(options.metadataRegions && { metadataRegions: options.metadataRegions }),
        folder: paths.link,
        ledger,
        log: options.log,
      }),
    ))
  );
}

/** Makes the organization's root where there is none. */
export async function openHomeCertificates(
  paths: StatePaths,
  systemKey: Key,
  names: Pick<ClusterEnrollment, "org" | "cluster" | "predecessor">,
): Promise<OrganizationCertificates> {
  const present = await readCertificates(paths.certificates, systemKey);
  const kept = await OrganizationRoot.read(paths.root, systemKey);
  // Under another root they are of a backup that was tried before this one.
  const isFit = kept === undefined || kept.certificatePem === present?.root.certificatePem;
  if (present !== undefined && isFit) return present;
  const root = kept ?? (await createRoot(paths, systemKey, names));
  const { certificatePem } = root;
  const sign = (request: Uint8Array) => root.signHome(request, names);
  return createCertificates(paths.certificates, systemKey, certificatePem, sign, names.predecessor);
}

async function createRoot(paths: StatePaths, systemKey: Key, { org }: Pick<ClusterEnrollment, "org">) {
  const root = await OrganizationRoot.create(org);
  await root.write(paths.root, systemKey);
  return root;
}
