import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import {
  authorityUri,
  clusterUri,
  type ListedCluster,
  type ListedRoot,
  rootUriPrefix,
} from "@biplane/identity";
import { createRootAuthority, crossCertify, fingerprint, issueCertificate } from "@biplane/kit/certificates";
import type { TlsIdentity } from "@biplane/kit/tls";
import { createAuthority, type TestAuthority } from "@biplane/verify/hostile-control-plane/authority";
import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KnownServers, type ListSource, requireListed, requireOwnListed } from "./known-servers.ts";
import { PinnedHttp } from "./pinned-http.ts";
import type { Profile } from "./profile.ts";

const org = "acme";
const hour = 3_600_000;
const servers: Server[] = [];

let root: TlsIdentity;
let authority: TestAuthority;
let profile: Profile;
let list: ListedCluster[];
let home: string;
let paris: string;
let stored: string | undefined;
let fetched: number;

beforeAll(async () => {
  root = await createRootAuthority("Biplane root of acme", hour);
  authority = await createAuthority(org, root);
  home = await serve(await identityBelow(root, [authorityUri(org), clusterUri(org, "home")]));
  paris = await serve(await identityBelow(root, [clusterUri(org, "paris")]));
  const shared = { bucket: "biplane", region: "local", publicClientId: "biplane-cli" };
  profile = {
    ...{ version: 1, org, cluster: "home", router: home, authority: home, objects: home, ...shared },
    ...{ rootPem: root.certificatePem, rootFingerprint: fingerprint(root.certificatePem) },
  };
  list = [entry("home", home), entry("paris", paris)];
});
beforeEach(() => {
  stored = undefined;
  fetched = 0;
});
afterAll(() => {
  for (const server of servers) server.close();
});

function entry(name: string, address: string): ListedCluster {
  const places = { router: address, objects: address };
  const of = name === "home" ? { authority: { address, keys: [] } } : {};
  return { name, region: "", ...places, ...of, fingerprint: "0".repeat(64), taskKeys: [] };
}

async function identityBelow(issuer: TlsIdentity, uris: readonly string[]): Promise<TlsIdentity> {
  const intermediate = await createIntermediate(issuer, "intermediate", hour, uris);
  const options = {
    commonName: "localhost",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: hour,
  } as const;
  const leaf = await issueCertificate(intermediate, options);
  return { ...leaf, certificatePem: `${leaf.certificatePem.trim()}\n${intermediate.certificatePem}` };
}

async function serve({ certificatePem: cert, privateKeyPem: key }: TlsIdentity): Promise<string> {
  const server = createServer({ cert, key }, (_request, response) => response.end("here"));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  servers.push(server);
  return `https://localhost:${(server.address() as AddressInfo).port}`;
}

const source = (jws: () => Promise<string>): ListSource => ({
  fetch: () => {
    fetched += 1;
    return jws();
  },
  stored: async () => stored,
  store: async (text) => {
    stored = text;
  },
});
const current = () => authority.sign("clusters", 1, { clusters: list });

async function ask(known: KnownServers, address: string): Promise<string> {
  const http = new PinnedHttp(known);
  try {
    return await http.text(await http.send(address, { method: "GET" }));
  } finally {
    http.close();
  }
}

describe("A client believes (claim TLS-4)", () => {
  test("the servers of its profile, and those of the signed list once it has that", async () => {
    const known = new KnownServers(profile);
    expect(await ask(known, home)).toBe("here");
    await expect(ask(known, paris)).rejects.toMatchObject({ reason: "server_not_listed" });
    const clusters = await known.clusters(source(current));
    expect(await ask(known, paris)).toBe("here");
    expect(requireListed(clusters, "paris").router).toBe(paris);
    expect(() => requireListed(clusters, "rome")).toThrow("home, paris");
  });

  test("no server elsewhere, though its certificate is below the root: nothing is sent there", async () => {
    const unlisted = await serve(await identityBelow(root, [clusterUri(org, "home")]));
    const known = new KnownServers(profile);
    await known.clusters(source(current));
    await expect(ask(known, unlisted)).rejects.toMatchObject({ reason: "server_not_listed" });
  });

  test("no certificate of another authority, however public", async () => {
    const publicRoot = await createRootAuthority("Public authority", hour);
    const impostor = await serve(
      await identityBelow(publicRoot, [clusterUri(org, "home"), authorityUri(org)]),
    );
    const known = new KnownServers({ ...profile, router: impostor, objects: impostor, authority: impostor });
    await expect(ask(known, impostor)).rejects.toMatchObject({ code: "permission_denied" });
  });

  test("no other cluster of the organization in a cluster's place, at one host too", async () => {
    const known = new KnownServers({ ...profile, router: paris, objects: paris, authority: home });
    await expect(ask(known, paris)).rejects.toMatchObject({ code: "permission_denied" });
    // The control: the same server under its own name.
    const right = new KnownServers({ ...profile, cluster: "paris", router: paris, objects: paris });
    expect(await ask(right, paris)).toBe("here");
  });

  test("no joined cluster as the authority, which people type their passwords into", async () => {
    const known = new KnownServers({ ...profile, authority: paris });
    await expect(ask(known, paris)).rejects.toMatchObject({ code: "permission_denied" });
  });
});

describe("The list is believed", () => {
  test("once for as long as it is in date; it is kept for the next command", async () => {
    const known = new KnownServers(profile);
    await known.clusters(source(current));
    await known.clusters(source(current));
    expect(fetched).toBe(1);
    await new KnownServers(profile).clusters(source(current));
    expect(fetched).toBe(1);
  });

  test("when it is out of date and a newer one comes, and not when an older one comes", async () => {
    const old = Math.floor(Date.now() / 1_000) - 3_600;
    stored = await authority.sign("clusters", 5, { clusters: list }, { issuedAt: old, expiresAt: old + 900 });
    const older = source(() => authority.sign("clusters", 4, { clusters: list }));
    await expect(new KnownServers(profile).clusters(older)).rejects.toMatchObject({
      reason: "list_rolled_back",
    });
    const newer = source(() => authority.sign("clusters", 6, { clusters: list }));
    expect(await new KnownServers(profile).clusters(newer)).toHaveLength(2);
  });

  test("of its own authority alone: no control plane's, no other cluster's, no expired one, no other organization's", async () => {
    const other = await createAuthority(org, await createRootAuthority("Provider", hour));
    const old = Math.floor(Date.now() / 1_000) - 3_600;
    const refused = {
      unknown_authority: () => other.sign("clusters", 1, { clusters: list }),
      expired: () =>
        authority.sign("clusters", 1, { clusters: list }, { issuedAt: old, expiresAt: old + 900 }),
      wrong_organization: () => authority.sign("clusters", 1, { clusters: list }, { org: "umbrella" }),
      wrong_type: () => authority.sign("policy", 1, { roles: [], assignments: [], denied: [] }),
      malformed: () => authority.sign("clusters", 1, { clusters: [...list, entry("paris", paris)] }),
    };
    for (const [reason, sign] of Object.entries(refused)) {
      const asked = new KnownServers(profile).clusters(source(sign));
      await expect(asked, reason).rejects.toMatchObject({ reason: `list_${reason}` });
      expect(stored).toBeUndefined();
    }
  });

  test("against the profile too: a cluster that was taken off it, or moved, is used no longer", async () => {
    expect(() => requireOwnListed(list, profile)).not.toThrow();
    expect(() => requireOwnListed(list.slice(1), profile)).toThrow("no cluster");
    expect(() => requireOwnListed([entry("home", "https://localhost:1")], profile)).toThrow("localhost:1");
  });
});

describe("A root that took the place of the profile's is believed", () => {
  const uriOf = (version: number) => `${rootUriPrefix(org)}${version}`;
  const rootOf = (version: number) =>
    createRootAuthority(`Biplane root ${version} of acme`, hour, 2, [uriOf(version)]);
  const der = (pem: string) => pem.replace(/-----[^-]+-----|\s/g, "");
  const wordOf = (signer: TlsIdentity, next: TlsIdentity) =>
    crossCertify(signer, next.certificatePem, [authorityUri(org), uriOf(2)]);
  let pinned: TlsIdentity;
  let next: TlsIdentity;
  let cross: string;
  let known: KnownServers;

  beforeAll(async () => {
    [pinned, next] = [await rootOf(1), await rootOf(2)];
    cross = await wordOf(pinned, next);
  });
  beforeEach(() => {
    known = new KnownServers({ ...profile, rootPem: pinned.certificatePem });
  });

  const listWith = (by: TestAuthority, crossPem: string, more: Partial<ListedRoot> = {}) => {
    const certificate = der(next.certificatePem);
    const named = { certificate, cross: der(crossPem), isEverywhere: true, isOver: false, ...more };
    return by.sign("clusters", 2, { root: named, clusters: list });
  };

  test("by the list, with the word of the one before, and kept with the list", async () => {
    const by = await createAuthority(org, next, cross);
    const kept: string[] = [];
    const from = source(() => listWith(by, cross));
    await known.clusters({ ...from, store: async (_list, rootPem) => void kept.push(rootPem) });
    expect(kept.map(fingerprint)).toEqual([fingerprint(next.certificatePem)]);
    expect(known.tlsFor(home).authorityPem).toBe(known.rootPem);
    expect(known.rootPem).toBe(next.certificatePem);
    // The next command begins with it, and believes the same list.
    stored = await listWith(by, cross);
    const again = new KnownServers({ ...profile, rootPem: known.rootPem });
    expect(await again.clusters(from)).toHaveLength(2);
  });

  test("not while a cluster is still under the one before", async () => {
    const by = await createAuthority(org, next, cross);
    expect(await known.clusters(source(() => listWith(by, cross, { isEverywhere: false })))).toHaveLength(2);
    expect(known.rootPem).toBe(pinned.certificatePem);
  });

  test("for nobody else's word: a stranger's list, or the authority's own with a word that the root never gave", async () => {
    const stranger = await rootOf(2);
    const forged = await wordOf(stranger, next);
    const attacks = {
      list_unknown_authority: await createAuthority(org, stranger, await wordOf(stranger, stranger)),
      list_root_not_succeeded: await createAuthority(org, pinned),
    };
    for (const [reason, by] of Object.entries(attacks)) {
      const asked = known.clusters(source(() => listWith(by, forged)));
      await expect(asked, reason).rejects.toMatchObject({ reason });
      expect(known.rootPem).toBe(pinned.certificatePem);
      expect(stored).toBeUndefined();
    }
  });
});
