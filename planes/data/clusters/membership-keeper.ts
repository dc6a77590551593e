/**
 * Keeps what home lists of a joined cluster as this cluster is: new keys of its tasks' tokens, and a new intermediate
 * long before the present one ends or when the organization has another root. Without home it goes on as it is, and asks
 * again.
 */
import { X509Certificate } from "node:crypto";
import { minute, second } from "@biplane/base";
import {
  type ListedCluster,
  type ListedRoot,
  type MemberStatement,
  memberStatementType,
  rootUriPrefix,
} from "@biplane/identity";
import { createCertificateRequest, fingerprint, isIssuedByRoot } from "@biplane/kit/certificates";
import type { Clock } from "@biplane/kit/clock";
import { signStatement } from "@biplane/kit/cluster-statements";
import type { Closeable } from "@biplane/kit/lifecycle";
import type { Logger } from "@biplane/kit/logging";
import { judgeSuccessor } from "@biplane/kit/root-succession";
import type { DataPlaneConfig } from "../config.ts";
import type { OrganizationCertificates } from "../identity/certificates.ts";
import { memberIntermediateMs } from "../identity/root.ts";
import type { SigningKeys } from "../identity/signing-keys.ts";
import type { ClusterDirectory } from "./cluster-directory.ts";
import { homeCallMs, homeClient } from "./home-client.ts";
import { publicKeys } from "./own-entry.ts";

const tellAgainMs = 10 * minute;
const renewBeforeMs = (memberIntermediateMs * 2) / 3;

export interface KeeperParts {
  readonly config: Pick<DataPlaneConfig, "org" | "cluster" | "region">;
  readonly certificates: OrganizationCertificates;
  readonly clusters: Pick<ClusterDirectory, "own" | "home" | "root">;
  readonly keys: SigningKeys;
  /** Told when the list is another one. Returns how to stop that. */
  readonly onList: (listener: () => void) => () => void;
  /** On disk before it is used. */
  readonly onCertificates: (certificates: OrganizationCertificates) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function keepMembership(parts: KeeperParts): Closeable {
  const keeper = new MembershipKeeper(parts);
  const look = () => keeper.look();
  parts.keys.onRotation(look);
  const forget = parts.onList(look);
  const timer = setInterval(look, minute).unref();
  look();
  return {
    close: async () => {
      clearInterval(timer);
      forget();
      await keeper.close();
    },
  };
}

class MembershipKeeper {
  readonly #parts: KeeperParts;
  #certificates: OrganizationCertificates;
  /** Which root home was told of, and when: a statement says by its signer which one this cluster is under. */
  #told = { under: "", atMs: 0 };
  #looking: Promise<void> | undefined;
  #isAgain = false;
  #isClosed = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#certificates = parts.certificates;
  }

  look(): void {
    if (this.#isClosed) return;
    this.#isAgain = this.#looking !== undefined;
    this.#looking ??= this.#keep()
      .catch((error: unknown) => {
        const fields = { event: "home_not_told", error };
        this.#parts.log.warn(fields, "the home cluster could not be told of new keys");
      })
      .finally(() => {
        this.#looking = undefined;
        if (this.#isAgain) this.look();
      });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#looking;
  }

  async #keep(): Promise<void> {
    const { clusters, config, clock } = this.#parts;
    const { root } = clusters;
    const settled = settle(this.#certificates, root);
    if (settled !== this.#certificates) await this.#use(settled);
    const { own, home } = clusters;
    // Not listed: it was taken off the list, and home would not listen.
    if (own === undefined || home === undefined) return;
    const next = root && judgeSuccessor(this.#rootPem, root, rootUriPrefix(config.org), clock.now());
    if (next !== undefined && next.kind !== "successor" && next.kind !== "same") {
      this.#parts.log.error({ event: "root_refused", reason: next.kind }, "the list names another root");
      return;
    }
    const rootPem = next?.kind === "successor" ? next.rootPem : this.#rootPem;
    if (rootPem !== this.#rootPem || this.#isDue(own)) await this.#renew(home, rootPem, root);
    if ((root?.isEverywhere === false && this.#isUntold()) || !isSame(own, config.region, this.#taskKeys))
      await this.#tell(home, "");
  }

  get #rootPem(): string {
    return this.#certificates.root.certificatePem;
  }

  get #taskKeys(): MemberStatement["taskKeys"] & ListedCluster["taskKeys"] {
    return publicKeys(this.#parts.keys, "task");
  }

  #isDue(own: ListedCluster): boolean {
    const { certificatePem } = this.#certificates.intermediate;
    const leftMs = new X509Certificate(certificatePem).validToDate.getTime() - this.#parts.clock.now();
    // Listed otherwise: the answer that brought a new one was lost.
    return leftMs < renewBeforeMs || own.fingerprint !== fingerprint(certificatePem);
  }

  /** A home that was restored from a copy has forgotten it. */
  #isUntold(): boolean {
    const isOld = this.#parts.clock.now() - this.#told.atMs > tellAgainMs;
    return isOld || this.#told.under !== fingerprint(this.#rootPem);
  }

  async #renew(home: ListedCluster, rootPem: string, root: ListedRoot | undefined): Promise<void> {
    const { requestDer, privateKeyPem } = await createCertificateRequest(this.#parts.config.cluster);
    const der = await this.#tell(home, Buffer.from(requestDer).toString("base64url"));
    const certificate = new X509Certificate(der);
    const isOurs = isIssuedByRoot(certificate, new X509Certificate(rootPem), this.#parts.clock.now());
    if (!isOurs) throw new Error("What the home cluster signed is not under the organization's root.");
    const intermediate = { certificatePem: certificate.toString(), privateKeyPem };
    if (rootPem === this.#rootPem) return this.#use({ ...this.#certificates, intermediate });
    const crossPem = new X509Certificate(Buffer.from(root!.cross, "base64")).toString();
    const predecessor = { rootPem: this.#rootPem, crossPem, isOver: root!.isOver };
    await this.#use({ root: { certificatePem: rootPem }, intermediate, predecessor });
  }

  /** Under the present intermediate. Answers with the certificate for a request; DER. */
  async #tell(home: ListedCluster, request: string): Promise<Uint8Array> {
    const { config, clock } = this.#parts;
    const { intermediate } = this.#certificates;
    const statement: MemberStatement = {
      ...{ org: config.org, cluster: config.cluster, region: config.region, taskKeys: this.#taskKeys },
      ...{ request, iat: Math.floor(clock.now() / second) },
    };
    const signed = await signStatement(statement, memberStatementType, intermediate);
    const sent = { cluster: config.cluster, statement: signed };
    const answer = await homeClient(home.router, this.#rootPem).updateMember(sent, { timeoutMs: homeCallMs });
    this.#told = { under: fingerprint(this.#rootPem), atMs: clock.now() };
    return answer.certificate;
  }

  async #use(certificates: OrganizationCertificates): Promise<void> {
    await this.#parts.onCertificates(certificates);
    this.#certificates = certificates;
  }
}

/** What servers show of the root before goes by the list: also in a cluster that joined under the present root. */
function settle(
  certificates: OrganizationCertificates,
  root: ListedRoot | undefined,
): OrganizationCertificates {
  const { root: own, predecessor } = certificates;
  const isOwn = new X509Certificate(own.certificatePem).raw.toString("base64") === root?.certificate;
  if (root === undefined || !isOwn || predecessor?.isOver === root.isOver) return certificates;
  const { rootPem = own.certificatePem } = predecessor ?? {};
  const crossPem = new X509Certificate(Buffer.from(root.cross, "base64")).toString();
  return { ...certificates, predecessor: { rootPem, crossPem, isOver: root.isOver } };
}

function isSame(own: ListedCluster, region: string, taskKeys: ListedCluster["taskKeys"]): boolean {
  const ids = (keys: ListedCluster["taskKeys"]) => keys.map(({ kid }) => kid).join(" ");
  return own.region === region && ids(own.taskKeys) === ids(taskKeys);
}
