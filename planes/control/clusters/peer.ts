/** Who is at the other end of a connection: decided by the certificate alone, never by what a message says. */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { BiplaneError } from "@biplane/base";
import type { HttpRequest } from "@biplane/kit";
import { type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";

export type Peer =
  | { readonly kind: "anonymous"; readonly address: string }
  | {
      readonly kind: "cluster";
      readonly address: string;
      readonly org: string;
      readonly cluster: string;
      /** SHA-256 of the certificate. */
      readonly fingerprint: Uint8Array;
      /** Names that the edge routes to it; a renewed certificate has them as well. */
      readonly publicHosts: readonly string[];
    };
export type ClusterPeer = Extract<Peer, { kind: "cluster" }>;

/** The client certificate of a cluster bears this name; `enrollment/` gives it. */
export function clusterHost(org: string, cluster: string): string {
  return `${cluster}.${org}.${suffix}`;
}

const suffix = "cluster.biplane.internal";
const nameInCertificate = new RegExp(
  `^DNS:([a-z0-9-]{1,63})\\.([a-z0-9-]{1,63})\\.${suffix.replaceAll(".", "\\.")}$`,
);

const peerKey = createContextKey<Peer>({ kind: "anonymous", address: "" });

export function peerContext(request: HttpRequest): ContextValues {
  return createContextValues().set(peerKey, peerOf(socketOf(request)));
}

export function peerIn(values: ContextValues): Peer {
  return values.get(peerKey);
}

export function requireCluster(values: ContextValues): ClusterPeer {
  const peer = peerIn(values);
  if (peer.kind === "cluster") return peer;
  throw new BiplaneError(
    "unauthenticated",
    {
      what: "This call needs the certificate of an enrolled cluster.",
      next: "Enroll the data plane with a code of this control plane.",
    },
    { reason: "no_cluster_certificate" },
  );
}

function socketOf(request: HttpRequest): TLSSocket {
  const session = "stream" in request ? request.stream.session : undefined;
  return (session?.socket ?? request.socket) as TLSSocket;
}

function peerOf(socket: TLSSocket): Peer {
  const address = socket.remoteAddress ?? "";
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  const names = certificate === undefined ? undefined : clusterNames(certificate);
  if (certificate === undefined || names === undefined) return { kind: "anonymous", address };
  const fingerprint = Buffer.from(certificate.fingerprint256.replaceAll(":", ""), "hex");
  return { kind: "cluster", address, ...names, fingerprint, publicHosts: publicHostsOf(certificate) };
}

function publicHostsOf(certificate: X509Certificate): string[] {
  const names = (certificate.subjectAltName ?? "").split(", ").map((name) => name.replace(/^DNS:/, ""));
  return names.filter((name) => !name.endsWith(".biplane.internal"));
}

function clusterNames(certificate: X509Certificate): { org: string; cluster: string } | undefined {
  for (const name of (certificate.subjectAltName ?? "").split(", ")) {
    const match = nameInCertificate.exec(name);
    if (match !== null) return { cluster: match[1]!, org: match[2]! };
  }
  return undefined;
}
