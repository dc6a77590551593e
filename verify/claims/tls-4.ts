/** TLS-4: TLS between clients and the data plane ends in the customer's cluster, not at the edge. */
import { createHash, type X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { day } from "@biplane/base";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { KnownServers, PinnedHttp, type Profile } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { requireRoot } from "../machine/tools.ts";
import { holdsPrivateKeyOf } from "../search/private-key.ts";
import { peerCertificate } from "../wire/peer-certificate.ts";

export const tls4: Claim = {
  id: "TLS-4",
  text: "Client to data plane is end-to-end: TLS terminates inside the customer's cluster, not at the edge.",
  from: "client",

  async prove(subject, seen) {
    const { profile } = subject.connection;
    for (const name of ["router", "authority", "objects"] as const) {
      seen.none(
        `dialled the ${name} at ${profile[name]} as a client does`,
        await refusals(profile, profile[name]),
      );
    }
    const certificate = await certificateOf(profile, profile.router);
    const print = createHash("sha256").update(certificate.raw).digest("hex").slice(0, 16);
    seen.note(
      `the router showed certificate ${print}…, issued under the organization's root ${profile.rootFingerprint}.`,
    );
    if (subject.remoteBecause !== undefined) {
      seen.note("from here, the customer's side, the keys in the edge's memory can't be searched for.");
      return;
    }
    searchKeys(subject, certificate, seen);
  },

  async control(subject, seen) {
    const { profile } = subject.connection;
    const terminating = await startTerminatingEdge();
    const stop = subject.undo.add(() => terminating.close());
    const address = `https://localhost:${(terminating.address() as AddressInfo).port}`;
    const found = await refusals({ ...profile, router: address }, address);
    await stop();
    return seen.caught(`an edge that terminates TLS itself at ${address}`, found, /does not trust/);
  },
};

/** Why a client with the profile would not talk to the address; none where it does. */
async function refusals(profile: Profile, address: string): Promise<string[]> {
  const http = new PinnedHttp(new KnownServers(profile));
  try {
    await http.text(await http.send(`${address}/`, { method: "GET" }));
    return [];
  } catch (error) {
    return [(error as Error).message];
  } finally {
    http.close();
  }
}

function certificateOf({ rootPem }: Profile, address: string): Promise<X509Certificate> {
  const { hostname, port } = new URL(address);
  return peerCertificate(`${hostname}:${port || 443}`, { authorityPem: rootPem });
}

function searchKeys({ planes }: Subject, certificate: X509Certificate, seen: Observations): void {
  requireRoot();
  seen.holds(
    "searched the data plane's memory for the certificate's private key",
    holdsPrivateKeyOf(certificate, planes.data.pid),
    "it is there",
  );
  for (const name of ["edge", "control"] as const) {
    const holds = holdsPrivateKeyOf(certificate, planes[name].pid);
    seen.holds(
      `searched the ${name}'s memory for it in the same way`,
      !holds,
      holds ? "it is there too" : "it is not there",
    );
  }
}

/** With a certificate of an authority that the machine might well trust, but that is not the organization's root. */
async function startTerminatingEdge() {
  const root = await createRootAuthority("A public authority", day);
  const { certificatePem, privateKeyPem } = await issueCertificate(root, {
    commonName: "localhost",
    hosts: ["localhost"],
    uses: ["server"],
    lifetimeMs: day,
  });
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  server.on("tlsClientError", () => undefined);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}
