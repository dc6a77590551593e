/**
 * Keeps what home lists of a joined cluster as this cluster is: new keys of its tasks' tokens, and a new intermediate
 * long before the present one ends. Without home it goes on as it is, and asks again.
 */
import { X509Certificate } from "node:crypto";
import { minute, second } from "@biplane/base";
import { type ListedCluster, type MemberStatement, memberStatementType } from "@biplane/identity";
import { createCertificateRequest, fingerprint } from "@biplane/kit/certificates";
import type { Clock } from "@biplane/kit/clock";
import { signStatement } from "@biplane/kit/cluster-statements";
import type { Closeable } from "@biplane/kit/lifecycle";
import type { Logger } from "@biplane/kit/logging";
import type { DataPlaneConfig } from "../config.ts";
import type { OrganizationCertificates } from "../identity/certificates.ts";
import { memberIntermediateMs } from "../identity/root.ts";
import type { SigningKeys } from "../identity/signing-keys.ts";
import type { ClusterDirectory } from "./cluster-directory.ts";
import { homeCallMs, homeClient } from "./home-client.ts";
import { publicKeys } from "./own-entry.ts";

const renewBeforeMs = (memberIntermediateMs * 2) / 3;

export interface KeeperParts {
  readonly config: Pick<DataPlaneConfig, "org" | "cluster" | "region">;
  readonly certificates: OrganizationCertificates;
  readonly clusters: Pick<ClusterDirectory, "own" | "home">;
  readonly keys: SigningKeys;
  /** On disk before it is used. */
  readonly onIntermediate: (certificates: OrganizationCertificates) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function keepMembership(parts: KeeperParts): Closeable {
  let { certificates } = parts;
  let looking: Promise<void> | undefined;
  const look = () => {
    looking ??= tellHome(parts, certificates)
      .then((renewed) => {
        certificates = renewed;
      })
      .catch((error: unknown) => {
        parts.log.warn({ event: "home_not_told", error }, "the home cluster could not be told of new keys");
      })
      .finally(() => {
        looking = undefined;
      });
  };
  parts.keys.onRotation(look);
  const timer = setInterval(look, minute).unref();
  return {
    close: async () => {
      clearInterval(timer);
      await looking;
    },
  };
}

async function tellHome(
  parts: KeeperParts,
  certificates: OrganizationCertificates,
): Promise<OrganizationCertificates> {
  const { clusters, keys, config, clock } = parts;
  const { own, home } = clusters;
  const taskKeys = publicKeys(keys, "task");
  const { intermediate, root } = certificates;
  const { validToDate } = new X509Certificate(intermediate.certificatePem);
  // Listed otherwise: the answer that brought a new one was lost.
  const isDue =
    validToDate.getTime() - clock.now() < renewBeforeMs ||
    own?.fingerprint !== fingerprint(intermediate.certificatePem);
  // Not listed: it was taken off the list, and home would not listen.
  if (own === undefined || home === undefined) return certificates;
  if (!isDue && isSame(own, config.region, taskKeys)) return certificates;
  const request = isDue ? await createCertificateRequest(config.cluster) : undefined;
  const statement: MemberStatement = {
    ...{ org: config.org, cluster: config.cluster, region: config.region, taskKeys },
    request: request === undefined ? "" : Buffer.from(request.requestDer).toString("base64url"),
    iat: Math.floor(clock.now() / second),
  };
  const signed = await signStatement(statement, memberStatementType, intermediate);
  const client = homeClient(home.router, root.certificatePem);
  const sent = { cluster: config.cluster, statement: signed };
  const answer = await client.updateMember(sent, { timeoutMs: homeCallMs });
  if (request === undefined) return certificates;
  const certificatePem = new X509Certificate(answer.certificate).toString();
  const renewed = { root, intermediate: { certificatePem, privateKeyPem: request.privateKeyPem } };
  await parts.onIntermediate(renewed);
  return renewed;
}

function isSame(own: ListedCluster, region: string, taskKeys: ListedCluster["taskKeys"]): boolean {
  const ids = (keys: ListedCluster["taskKeys"]) => keys.map(({ kid }) => kid).join(" ");
  return own.region === region && ids(own.taskKeys) === ids(taskKeys);
}
