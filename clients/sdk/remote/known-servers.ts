/**
 * Which servers a client believes (claim TLS-4): those of its profile and of the list that the organization's authority
 * signed, each under the name that the root wrote into its cluster's authority. Not those whose certificate any other
 * authority issued, however public; not those that a control plane names.
 */
import { BiplaneError, second } from "@biplane/base";
import {
  authorityUri,
  clusterUri,
  type DocumentContents,
  homeOf,
  type ListedCluster,
  type ListedRoot,
  rootUriPrefix,
  type SignedContent,
  verifyDocument,
} from "@biplane/identity";
import type { ClientTlsOptions } from "@biplane/kit/tls";
import type { Profile } from "./profile.ts";

type ClusterList = SignedContent<DocumentContents["clusters"]>;

/** Where the signed list comes from, and where the newest one is kept for the next command, with the root to believe. */
export interface ListSource {
  fetch(): Promise<string>;
  stored(): Promise<string | undefined>;
  store(list: string, rootPem: string): Promise<void>;
}

export class KnownServers {
  readonly #profile: Profile;
  #rootPem: string;
  #list: ClusterList | undefined;
  #learning: Promise<ClusterList> | undefined;

  constructor(profile: Profile) {
    this.#profile = profile;
    this.#rootPem = profile.rootPem;
  }

  /** The profile's, or the one that took its place. */
  get rootPem(): string {
    return this.#rootPem;
  }

  /** How to speak TLS with the server at this address. Throws `permission_denied` for one that is nobody's. */
  tlsFor(address: string): ClientTlsOptions {
    const { origin } = new URL(address);
    const issuerUri = this.#profileUris().get(origin) ?? this.#listedUris().get(origin);
    if (issuerUri === undefined) throw unknownServer(origin, this.#profile.org);
    return { authorityPem: this.#rootPem, issuerUri };
  }

  /** The list in date: as kept, else as its source has it now. Asked for only once at a time. */
  async clusters(source: ListSource): Promise<readonly ListedCluster[]> {
    if (this.#list === undefined || isOver(this.#list)) {
      this.#learning ??= this.#learn(source).finally(() => {
        this.#learning = undefined;
      });
      this.#list = await this.#learning;
    }
    return this.#list.content.clusters;
  }

  async #learn(source: ListSource): Promise<ClusterList> {
    const text = await source.stored();
    const kept = text === undefined ? undefined : await this.#judge(text, this.#list);
    const isFresh = kept?.kind === "accepted" || kept?.kind === "unchanged";
    if (isFresh) return kept.document;
    const held = kept?.kind === "expired" ? kept.document : this.#list;
    const list = await source.fetch();
    const fetched = await this.#judge(list, held);
    if (fetched.kind !== "accepted" && fetched.kind !== "unchanged") throw notBelieved(fetched.kind);
    await this.#followRoot(fetched.document.content.root);
    await source.store(list, this.#rootPem);
    return fetched.document;
  }

  /** Only by the word of the root that is believed, and once every server can be reached under the new one. */
  async #followRoot(listed: ListedRoot | undefined): Promise<void> {
    if (listed === undefined || !listed.isEverywhere) return;
    const { judgeSuccessor } = await import("@biplane/kit/root-succession");
    const outcome = judgeSuccessor(this.#rootPem, listed, rootUriPrefix(this.#profile.org), Date.now());
    if (outcome.kind === "successor") this.#rootPem = outcome.rootPem;
    else if (outcome.kind !== "same") throw notBelieved(outcome.kind);
  }

  async #judge(list: string, held: ClusterList | undefined) {
    const { org } = this.#profile;
    const expected = { org, nowSeconds: Math.floor(Date.now() / second), held };
    // Loaded when it is needed: most of a command's start would be this library.
    const { openDocument } = await import("@biplane/kit/signed-documents");
    return verifyDocument(openDocument, "clusters", list, this.#rootPem, expected);
  }

  /** A profile does not name the home cluster; its authority bears the organization's name. */
  #profileUris(): Map<string, string> {
    const { org, cluster, router, objects, authority } = this.#profile;
    const own = clusterUri(org, cluster);
    return new Map([
      [new URL(router).origin, own],
      [new URL(objects).origin, own],
      [new URL(authority).origin, authorityUri(org)],
    ]);
  }

  #listedUris(): Map<string, string> {
    const { org } = this.#profile;
    const uris = new Map<string, string>();
    for (const { name, router, objects } of this.#list?.content.clusters ?? []) {
      for (const address of [router, objects]) uris.set(new URL(address).origin, clusterUri(org, name));
    }
    const authority = homeOf(this.#list?.content)?.authority;
    if (authority !== undefined) uris.set(new URL(authority.address).origin, authorityUri(org));
    return uris;
  }
}

/** The cluster of this name. Throws `not_found` where the organization's authority lists none. */
export function requireListed(clusters: readonly ListedCluster[], name: string): ListedCluster {
  const found = clusters.find((cluster) => cluster.name === name);
  if (found !== undefined) return found;
  throw new BiplaneError(
    "not_found",
    {
      what: `There is no cluster ${JSON.stringify(name)} in your organization.`,
      why: `Its authority lists: ${clusters.map((cluster) => cluster.name).join(", ")}.`,
      next: "Use one of these. If one is missing, an administrator has to let it join again.",
    },
    { reason: "not_listed" },
  );
}

/** The profile's own cluster has to be listed as well, where the profile says that it is. */
export function requireOwnListed(clusters: readonly ListedCluster[], profile: Profile): void {
  const found = requireListed(clusters, profile.cluster);
  if (new URL(found.router).origin === new URL(profile.router).origin) return;
  throw new BiplaneError(
    "permission_denied",
    {
      what: `The router of cluster ${profile.cluster} is not at ${profile.router}.`,
      why: `Your organization's authority lists it at ${found.router}.`,
      next: "Take the cluster's present profile.json: biplane login --profile PATH.",
    },
    { reason: "server_not_listed" },
  );
}

function isOver({ head }: ClusterList): boolean {
  return head.expiresAt * second <= Date.now();
}

function unknownServer(origin: string, org: string): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: `${origin} is no server of ${org}.`,
      why: "It is neither in your profile nor in the list that the organization's authority signed.",
      next: "Nothing was sent there. If it should be in the list, ask your administrator.",
    },
    { reason: "server_not_listed" },
  );
}

function notBelieved(kind: string): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: `The list of your organization's clusters is not believed (${kind}).`,
      why: "It is out of date or was not signed by the organization's authority.",
      next: "Compare this machine's clock; try again once the home cluster can be reached.",
    },
    { reason: `list_${kind}` },
  );
}
