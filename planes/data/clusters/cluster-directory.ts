/** The organization's clusters as this one knows them: by the newest list that its authority signed, and nothing else. */
import { BiplaneError, type ClusterId } from "@biplane/base";
import { homeOf, type ListedCluster, type ListedRoot } from "@biplane/identity";
import type { JWK } from "jose";
import type { Documents } from "../documents/documents.ts";
import { notHome } from "./not-home.ts";

export class ClusterDirectory {
  readonly #cluster: ClusterId;
  readonly #documents: Pick<Documents, "newest" | "text" | "isHome">;
  readonly #authority: string;

  /** `authority`: where it was when this cluster was made, for as long as no list has come. */
  constructor(parts: {
    cluster: ClusterId;
    documents: Pick<Documents, "newest" | "text" | "isHome">;
    authority: string;
  }) {
    this.#cluster = parts.cluster;
    this.#documents = parts.documents;
    this.#authority = parts.authority;
  }

  get isHome(): boolean {
    return this.#documents.isHome;
  }

  get all(): readonly ListedCluster[] {
    return this.#documents.newest("clusters")?.content.clusters ?? [];
  }

  /** Where the organization's root took another one's place. */
  get root(): ListedRoot | undefined {
    return this.#documents.newest("clusters")?.content.root;
  }

  get own(): ListedCluster | undefined {
    return this.find(this.#cluster);
  }

  get home(): ListedCluster | undefined {
    return homeOf(this.#documents.newest("clusters")?.content);
  }

  /** Issuer of people's and programs' tokens. */
  get authority(): string {
    return this.home?.authority?.address ?? this.#authority;
  }

  /** The signed list as everyone may check it. Throws `unavailable` while none has come. */
  get signedList(): string {
    const list = this.#documents.text("clusters");
    if (list !== undefined) return list;
    throw new BiplaneError(
      "unavailable",
      {
        what: "This cluster does not have the list of the organization's clusters yet.",
        why: "It comes over the link, from the home cluster.",
        next: "Try again once the home cluster and the control plane can be reached.",
      },
      { reason: "cluster_list_missing" },
    );
  }

  find(name: string): ListedCluster | undefined {
    return this.all.find((cluster) => cluster.name === name);
  }

  /** A key of the authority's access tokens; the newest where the token names none. */
  authorityKey(kid: string | undefined): JWK | undefined {
    const keys = this.home?.authority?.keys ?? [];
    return (kid === undefined ? keys[0] : keys.find((key) => key.kid === kid)) as JWK | undefined;
  }

  /** For what the authority alone does. */
  notHome(): BiplaneError {
    return notHome("This can't be done in this cluster.", this.#documents);
  }
}
