/** TLS-3: link and tunnel are mutually authenticated, by certificates that rotate by themselves. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { day, hour, minute } from "@biplane/base";
import { writeEdgeIdentity } from "@biplane/cli/dev/edge-state";
import { services } from "@biplane/cli/dev/settings";
import { fingerprint } from "@biplane/kit/certificates";
import { createClientTransport } from "@biplane/kit/connect-client";
import { createLogger } from "@biplane/kit/logging";
import type { TlsIdentity } from "@biplane/kit/tls";
import { startConnector, tunnelName } from "@biplane/tunnel-connector";
import { Code } from "@connectrpc/connect";
import type { Enrollment } from "../../planes/data/link/index.ts";
import type { Claim } from "../frame/claim.ts";
import { eventually } from "../frame/eventually.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { requireRoot } from "../machine/tools.ts";
import { sayHello } from "../requests/link-hello.ts";
import { enrollmentOf, forgedIdentity, providerIdentity } from "../scenes/certificates.ts";
import { clusterSeconds, servingSeconds, type Tenants, tenants, tenantsWords } from "../scenes/tenants.ts";
import { holdsPrivateKeyOf } from "../search/private-key.ts";
import { knockAtLink, knockAtTunnel } from "../wire/admissions.ts";
import { knock } from "../wire/knocking.ts";
import { peerCertificate } from "../wire/peer-certificate.ts";

const loadMsMax = 100_000;
/** Certificates that router, authority and store each have to show meanwhile. */
const shownMin = 3;
const knocksAtStolenName = 20;

export const tls3: Claim = {
  id: "TLS-3",
  text: "Plane to plane and connector to edge are mutually authenticated with short-lived certificates that rotate by themselves; private keys never leave the plane they were made in.",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    requireRoot();
    const live = await enrollmentOf(subject.planes.data.state);
    seen.none(
      "dialled link and tunnel of this installation without a certificate, and with one of an authority that took the provider's name",
      await admissions(live, { "no certificate": undefined, "a forged one": await forgedIdentity(live) }),
    );
    await searchKeys(subject, live, seen);
    const at = await subject.scene(tenants);
    seen.note(
      `started ${tenantsWords} with certificates for ${servingSeconds} and ${clusterSeconds} seconds.`,
    );
    await tryStrangers(at, seen);
    await tryNeighbour(at, seen);
    await rotate(at, seen);
    await tryRevoked(at, seen);
  },

  async control(subject, seen) {
    const at = await subject.scene(tenants);
    const own = await enrollmentOf(at.own.state);
    const letIn = await admissions(own, { "the cluster's own certificate": own.identity });
    const areHeard = [/own certificate at the link/, /own certificate at the tunnel/].map((about) =>
      seen.caught("the right certificate, judged as if it were a wrong one", letIn, about),
    );
    const held = holdsPrivateKeyOf(new X509Certificate(own.identity.certificatePem), process.pid);
    const isKeyFound = seen.caught(
      "a process of no plane that has read the cluster's private key, searched in the same way",
      held ? ["the key is in its memory"] : [],
      /in its memory/,
    );
    return areHeard.every(Boolean) && isKeyFound && (await cutOffIsCaught(at, seen));
  },
};

/** Whom link and tunnel let in of those who should be refused. */
async function admissions(
  { linkAddress, edgeAddress, providerRootPem: authorityPem }: Enrollment,
  shown: Readonly<Record<string, TlsIdentity | undefined>>,
): Promise<string[]> {
  const found: string[] = [];
  for (const [name, identity] of Object.entries(shown)) {
    const tls = { authorityPem, ...(identity === undefined ? {} : { identity }) };
    const [link, tunnel] = [await knockAtLink(linkAddress, tls), await knockAtTunnel(edgeAddress, tls)];
    if (link.kind === "let in") found.push(`${name} at the link was let in`);
    if (tunnel.kind === "let in") found.push(`${name} at the tunnel was let in`);
  }
  return found;
}

/** Each plane's own, in the others' memory. */
async function searchKeys({ planes }: Subject, live: Enrollment, seen: Observations): Promise<void> {
  const { control, edge, data } = planes;
  const own = new X509Certificate(live.identity.certificatePem);
  const days = Math.round((own.validToDate.getTime() - own.validFromDate.getTime()) / day);
  seen.note(`the data plane's certificate for link and tunnel is good for ${days} days.`);
  seen.holds(
    "searched the data plane's memory for its private key",
    holdsPrivateKeyOf(own, data.pid),
    "it is there",
  );
  const edgeOwn = new X509Certificate(readFileSync(join(edge.state, "identity.crt")));
  const link = await peerCertificate(live.linkAddress, { authorityPem: live.providerRootPem });
  const elsewhere = [
    ["the data plane's key", own, control],
    ["the data plane's key", own, edge],
    ["the edge's key", edgeOwn, data],
    ["the control plane's key", link, data],
    ["the control plane's key", link, edge],
  ] as const;
  seen.none(
    "searched the memory of the other planes for it, and for those of the edge's and the link's certificates",
    elsewhere
      .filter(([, certificate, { pid }]) => holdsPrivateKeyOf(certificate, pid))
      .map(([what, , { name }]) => `${what} is in the memory of ${name}`),
  );
}

async function tryStrangers({ own, system }: Tenants, seen: Observations): Promise<void> {
  const cluster = await enrollmentOf(own.state);
  const shown = {
    "no certificate": undefined,
    "one of an authority that took the provider's name": await forgedIdentity(cluster),
    "one of the provider that has expired": await providerIdentity(system.folders.control, cluster, -minute),
    "the edge's own, which is for servers": edgeIdentity(system.folders.edge),
  };
  seen.none(
    `dialled link and tunnel with ${Object.keys(shown).join(", ")}`,
    await admissions(cluster, shown),
  );
  const { identity } = await enrollmentOf(own.state);
  const tls = { authorityPem: cluster.providerRootPem, identity };
  const answers = [
    await knockAtLink(cluster.linkAddress, tls),
    await knockAtTunnel(cluster.edgeAddress, tls),
  ];
  seen.holds(
    "dialled both with the cluster's own",
    answers.every(({ kind }) => kind === "let in"),
    answers.map(({ kind }) => kind).join(", "),
  );
}

function edgeIdentity(folder: string): TlsIdentity {
  const [certificatePem, privateKeyPem] = ["identity.crt", "identity.key"].map((name) =>
    readFileSync(join(folder, name), "utf8"),
  );
  return { certificatePem: certificatePem!, privateKeyPem: privateKeyPem! };
}

/** A genuine certificate opens what it names, and nothing of a neighbour's. */
async function tryNeighbour({ own, other }: Tenants, seen: Observations): Promise<void> {
  const [cluster, neighbour] = [await enrollmentOf(own.state), await enrollmentOf(other.state)];
  const { identity, providerRootPem: authorityPem } = neighbour;
  const baseUrl = `https://${cluster.linkAddress}`;
  const answer = await sayHello(createClientTransport({ baseUrl, tls: { authorityPem, identity } }), own);
  seen.holds(
    "began a link in the cluster's name with another cluster's certificate",
    answer === Code.PermissionDenied,
    answer === "answered" ? "it was answered" : `refused: ${Code[answer]}`,
  );
  const [host = "", port = ""] = cluster.edgeAddress.split(":");
  let stolen = 0;
  const steal = (socket: { destroy(): unknown }) => {
    stolen += 1;
    socket.destroy();
  };
  const connector = startConnector({
    edge: { host, port: Number(port) },
    authorityPem,
    identity: () => identity,
    services: Object.fromEntries(services.map((service) => [tunnelName({ service, ...own }), steal])),
    log: createLogger({ component: "verify", level: "silent" }),
  });
  try {
    await connector.connected(AbortSignal.timeout(20_000));
    let left = knocksAtStolenName;
    const { router } = own.profile;
    const load = { services: { router }, rootPem: own.profile.rootPem, isDone: () => left-- <= 0 };
    const { failures } = await knock(load);
    seen.none(
      `offered the cluster's names over the tunnel with another cluster's certificate, and dialled its router ${knocksAtStolenName} times`,
      [...failures, ...(stolen === 0 ? [] : [`${stolen} connections went to the other cluster`])],
    );
  } finally {
    await connector.close();
  }
}

function publicKeyOf({ certificatePem }: TlsIdentity): string {
  return new X509Certificate(certificatePem).publicKey
    .export({ format: "der", type: "spki" })
    .toString("hex");
}

/** Every certificate but the roots changes while clients of all kinds go on. */
async function rotate({ own, system }: Tenants, seen: Observations): Promise<void> {
  const deadline = Date.now() + loadMsMax;
  const { router, authority, objects, rootPem } = own.profile;
  const edgeOf = async () => {
    const { identity, providerRootPem, edgeAddress } = await enrollmentOf(own.state);
    return (await peerCertificate(edgeAddress, { authorityPem: providerRootPem, identity })).serialNumber;
  };
  const keyOfCluster = async () => publicKeyOf((await enrollmentOf(own.state)).identity);
  const clusterKeys = new Set([await keyOfCluster()]);
  const edgeBefore = await edgeOf();
  const { runs, records } = own.connection;
  const sessions = {
    "a session with the router": () =>
      runs.listRuns({ request: { limit: 1 }, scopeBy: { case: "org", value: own.org } }),
    "a question that goes over the link": () => records.listRuns({}),
  };
  const watching = setInterval(() => void keyOfCluster().then((key) => clusterKeys.add(key)), 500);
  try {
    await writeEdgeIdentity(system.folders.control, system.folders.edge);
    const { requests, failures, serials } = await knock({
      services: { router, authority, objects },
      rootPem,
      sessions,
      isDone: (shown) =>
        Date.now() > deadline ||
        (clusterKeys.size > 1 && [...shown.values()].every(({ size }) => size >= shownMin)),
    });
    seen.none(`sent ${requests} requests while certificates changed`, failures);
    for (const [name, shown] of serials)
      seen.holds(
        `counted the certificates of the ${name}`,
        shown.size >= shownMin,
        `${shown.size} were shown`,
      );
    const isOther = (await edgeOf()) !== edgeBefore;
    seen.holds(
      "gave the edge a new certificate meanwhile",
      isOther,
      isOther ? "it shows that one" : "it does not show it",
    );
    seen.holds(
      "looked at the cluster's own for link and tunnel",
      clusterKeys.size > 1,
      `${clusterKeys.size} were in use, each with a key of its own`,
    );
  } finally {
    clearInterval(watching);
  }
}

async function tryRevoked({ own, system }: Tenants, seen: Observations): Promise<void> {
  const cluster = await enrollmentOf(own.state);
  const identity = await providerIdentity(system.folders.control, cluster, hour);
  const tls = { authorityPem: cluster.providerRootPem, identity };
  const link = await knockAtLink(cluster.linkAddress, tls);
  seen.holds(
    "dialled the link with a certificate of the provider that is not on its list",
    link.kind === "refused",
    link.kind === "refused" ? link.why : "it was let in",
  );
  const before = await knockAtTunnel(cluster.edgeAddress, tls);
  seen.holds("dialled the tunnel with it", before.kind === "let in", before.kind);
  appendFileSync(join(system.folders.edge, "revoked.txt"), `${fingerprint(identity.certificatePem)}\n`);
  await eventually(
    () => knockAtTunnel(cluster.edgeAddress, tls),
    ({ kind }) => kind === "refused",
    { withinMs: 20_000, what: "The refusal of a revoked certificate" },
  );
  seen.note("revoked it, and dialled the tunnel again: refused.");
}

/** Certificates that "change" by a server's end: the load has to tell. */
async function cutOffIsCaught({ own }: Tenants, seen: Observations): Promise<boolean> {
  const identity = await forgedIdentity(await enrollmentOf(own.state));
  const server = createServer({ cert: identity.certificatePem, key: identity.privateKeyPem }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.destroy();
  });
  server.on("tlsClientError", () => undefined);
  await once(server.listen(0, "127.0.0.1"), "listening");
  let left = 3;
  const router = `https://localhost:${(server.address() as AddressInfo).port}`;
  const load = { services: { router }, rootPem: own.profile.rootPem, isDone: () => left-- <= 0 };
  const { failures } = await knock(load);
  server.close();
  return seen.caught("the same load on a server that cuts its clients off", failures, /router: /);
}
