/**
 * `biplane root rotate`: a new root takes the place of the organization's root, at home and while the plane runs. The
 * old root signs for the new one, which is the last thing that its key does; whoever believes the old one is led to the
 * new one by that and by nothing else (decision 19). Each step can be done again, so that what a crash cut off goes on.
 */
import { rm } from "node:fs/promises";
import { BiplaneError, type ClusterId, type OrgId } from "@biplane/base";
import { type AuditLog, eventOf } from "@biplane/kit/audit-log";
import { createCertificateRequest, fingerprint } from "@biplane/kit/certificates";
import type { Key } from "@biplane/kit/crypto";
import type { Members } from "../clusters/members.ts";
import type { Documents } from "../documents/documents.ts";
import type { StatePaths } from "../state.ts";
import type { OrganizationCertificates, OwnCertificates } from "./certificates.ts";
import { OrganizationRoot, requireRoot } from "./root.ts";

export interface RotationPlace {
  readonly paths: Pick<StatePaths, "root" | "nextRoot">;
  readonly systemKey: Key;
  readonly names: { readonly org: OrgId; readonly cluster: ClusterId };
}

export interface RotationParts extends RotationPlace {
  readonly certificates: OwnCertificates;
  readonly documents: Pick<Documents, "signAgain">;
  readonly members: Pick<Members, "publish" | "forgetAllCodes" | "laggards">;
  readonly audit: Pick<AuditLog, "record">;
}

export interface RootState {
  readonly root: string;
  readonly before: string;
  /** Of clusters whose certificates are under the root before. */
  readonly waitingFor: readonly string[];
  /** Whether servers still lead those who know the root before alone. */
  readonly leadsOn: boolean;
}

export class RootRotation {
  readonly #parts: RotationParts;
  #working: Promise<unknown> = Promise.resolve();

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  /** Makes a new root, or finishes what was begun and not retired yet. */
  rotate(): Promise<RootState> {
    return this.#inTurn(async () => {
      const { paths, systemKey, certificates } = this.#parts;
      const isUnderWay = certificates.present.predecessor?.isOver === false;
      const isBegun = (await OrganizationRoot.readNext(paths.nextRoot, systemKey)) !== undefined;
      if (!isUnderWay && !isBegun) await this.#begin();
      await finishRotation(this.#parts, certificates.present, (next) => certificates.replace(next));
      await this.#parts.members.forgetAllCodes();
      await this.#publish();
      return this.#state();
    });
  }

  /** Throws `failed_precondition` where somebody still needs the root before. */
  retire(): Promise<RootState> {
    return this.#inTurn(async () => {
      const { certificates, members, audit } = this.#parts;
      const { predecessor } = certificates.present;
      if (predecessor === undefined) throw nothingToRetire();
      const waitingFor = await members.laggards();
      if (waitingFor.length > 0) throw notEverywhere(waitingFor);
      if (!predecessor.isOver) {
        await audit.record(rotationEvent("ROOT_RETIRED", predecessor.rootPem));
        await certificates.replace({
          ...certificates.present,
          predecessor: { ...predecessor, isOver: true },
        });
      }
      await this.#publish();
      return this.#state();
    });
  }

  async #begin(): Promise<void> {
    const { paths, systemKey, names, audit } = this.#parts;
    const next = await (await requireRoot(paths.root, systemKey)).succeed(names.org);
    await audit.record(rotationEvent("ROOT_ROTATED", next.root.certificatePem));
    await OrganizationRoot.writeNext(paths.nextRoot, systemKey, next);
  }

  /** The policy first: whoever follows the root by the list has a policy under it by then. */
  async #publish(): Promise<void> {
    const { documents, members } = this.#parts;
    await documents.signAgain();
    await members.publish();
  }

  async #state(): Promise<RootState> {
    const { certificates, members } = this.#parts;
    const { predecessor } = certificates.present;
    return {
      root: fingerprint(certificates.rootPem),
      before: predecessor === undefined ? "" : fingerprint(predecessor.rootPem),
      waitingFor: await members.laggards(),
      leadsOn: predecessor?.isOver === false,
    };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#working.then(work);
    this.#working = done.catch(() => {});
    return done;
  }
}

/** At a start, and in the command: what is left to do where a new root was made. Certificates first, its place last. */
export async function finishRotation(
  { paths, systemKey, names }: RotationPlace,
  present: OrganizationCertificates,
  use: (next: OrganizationCertificates) => Promise<void>,
): Promise<OrganizationCertificates> {
  const next = await OrganizationRoot.readNext(paths.nextRoot, systemKey);
  if (next === undefined) return present;
  const { root, crossPem } = next;
  const { certificatePem: rootPem } = root;
  let certificates = present;
  if (present.root.certificatePem !== rootPem) {
    const { requestDer, privateKeyPem } = await createCertificateRequest("biplane");
    const certificatePem = await root.signHome(requestDer, names);
    certificates = {
      root: { certificatePem: rootPem },
      intermediate: { certificatePem, privateKeyPem },
      predecessor: { rootPem: present.root.certificatePem, crossPem, isOver: false },
    };
    await use(certificates);
  }
  await root.write(paths.root, systemKey);
  await rm(paths.nextRoot, { force: true });
  return certificates;
}

function rotationEvent(code: "ROOT_ROTATED" | "ROOT_RETIRED", rootPem: string) {
  return eventOf(code, { decision: "allowed", subject: "operator", requestId: fingerprint(rootPem) });
}

function nothingToRetire(): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "There is no root before the present one.",
    next: "Make a new root first: biplane root rotate.",
  });
}

function notEverywhere(clusters: readonly string[]): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: "The root before can't be retired yet.",
    why: `These clusters' certificates are still under it: ${clusters.join(", ")}.`,
    next: "They change by themselves once they run and reach this cluster; or take them off: biplane delete cluster.",
  });
}
