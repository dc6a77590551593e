/** The policies that the control plane decides by: of each organization the newest one that its authority signed. */
import { second } from "@biplane/base";
import { bundleOf, type PolicyBundle } from "@biplane/identity";
import type { Clock } from "@biplane/kit";
import type { SignedDocuments } from "../documents/documents.ts";

/** A home cluster sends its policy as soon as it is connected; calls of that moment wait for it this long. */
const waitMs = 2 * second;
const bundlesMax = 1_000;

export class Policies {
  readonly #documents: Pick<SignedDocuments, "newest" | "accepted">;
  readonly #clock: Clock;
  readonly #isConnected: (org: string) => boolean;
  readonly #bundles = new Map<string, PolicyBundle>();

  constructor(
    documents: Pick<SignedDocuments, "newest" | "accepted">,
    clock: Clock,
    isConnected: (org: string) => boolean,
  ) {
    this.#documents = documents;
    this.#clock = clock;
    this.#isConnected = isConnected;
  }

  /** Undefined where none is in date: then nothing may be decided (claim IAM-3). */
  async current(org: string): Promise<PolicyBundle | undefined> {
    const bundle = await this.#inDate(org);
    if (bundle !== undefined || !this.#isConnected(org)) return bundle;
    await this.#documents.accepted(org, "policy", waitMs);
    return this.#inDate(org);
  }

  async #inDate(org: string): Promise<PolicyBundle | undefined> {
    const kept = await this.#documents.newest(org, "policy");
    if (kept === undefined || kept.document.head.expiresAt * second <= this.#clock.now()) return undefined;
    const before = this.#bundles.get(org);
    const bundle = bundleOf(kept.document, before);
    if (bundle !== before) this.#keep(org, bundle);
    return bundle;
  }

  #keep(org: string, bundle: PolicyBundle): void {
    this.#bundles.delete(org);
    this.#bundles.set(org, bundle);
    if (this.#bundles.size > bundlesMax) this.#bundles.delete(this.#bundles.keys().next().value!);
  }
}
