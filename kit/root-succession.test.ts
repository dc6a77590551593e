import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import { beforeAll, expect, test } from "vitest";
import {
  createCertificateRequest,
  createRootAuthority,
  crossCertify,
  issueCertificate,
  signIntermediateRequest,
} from "./certificates.ts";
import { judgeSuccessor, type Successor } from "./root-succession.ts";
import { clientTlsOptions, serverTlsOptions, type TlsIdentity } from "./tls.ts";

const hour = 3_600_000;
const prefix = "urn:test:root:acme:";
let first: TlsIdentity;
let second: TlsIdentity;
let third: TlsIdentity;
let stranger: TlsIdentity;

beforeAll(async () => {
  first = await rootOf(1);
  second = await rootOf(2);
  third = await rootOf(3);
  stranger = await rootOf(2);
});

const rootOf = (version: number, uriPrefix = prefix) =>
  createRootAuthority(`root ${version}`, 24 * hour, 2, [`${uriPrefix}${version}`]);

const der = (pem: string) => pem.replace(/-----[^-]+-----|\s/g, "");

/** `signer`'s word for `root`. */
async function word(
  signer: TlsIdentity,
  root: TlsIdentity,
  version = 2,
  uriPrefix = prefix,
): Promise<Successor> {
  const cross = await crossCertify(signer, root.certificatePem, [`${uriPrefix}${version}`]);
  return { certificate: der(root.certificatePem), cross: der(cross) };
}

const judge = (pinned: TlsIdentity, successor: Successor, nowMs = Date.now()) =>
  judgeSuccessor(pinned.certificatePem, successor, prefix, nowMs).kind;

test("a root follows the pinned one by its signature, and is known again afterwards", async () => {
  const successor = await word(first, second);
  const outcome = judgeSuccessor(first.certificatePem, successor, prefix, Date.now());
  expect(outcome.kind === "successor" && der(outcome.rootPem)).toBe(der(second.certificatePem));
  expect(judge(second, successor)).toBe("same");
});

test("nobody else's word counts: a stranger's, the new root's own, an intermediate's, or one for another key", async () => {
  const { requestDer, privateKeyPem } = await createCertificateRequest("home");
  const options = { commonName: "home", lifetimeMs: hour, uris: [`${prefix}2`] };
  const certificatePem = await signIntermediateRequest(first, requestDer, options);
  const intermediate = { certificatePem, privateKeyPem };
  const good = await word(first, second);
  const refused = {
    "a stranger's": await word(stranger, second),
    "the new root's own": { certificate: good.certificate, cross: good.certificate },
    "an intermediate's": await word(intermediate, second),
    "an intermediate as the word": { certificate: good.certificate, cross: der(certificatePem) },
    "for another key": { certificate: der(stranger.certificatePem), cross: good.cross },
    "the next but one": await word(first, third, 3),
    "of another version than the root says": await word(first, second, 3),
    "a word that names no root": await word(first, second, 2, "urn:test:cluster:acme:"),
  };
  for (const [what, successor] of Object.entries(refused)) {
    expect(judge(first, successor), what).toBe("root_not_succeeded");
  }
  // Control: each of these differs from the good one by that alone.
  expect(judge(first, good)).toBe("successor");
});

test("a pin never goes back, and what is no certificate has a name of its own", async () => {
  expect(judge(second, await word(second, first, 1))).toBe("root_rolled_back");
  expect(judge(second, await word(second, stranger))).toBe("root_rolled_back");
  const other = await rootOf(2, "urn:test:root:other:");
  expect(judge(first, await word(first, other))).toBe("root_rolled_back");
  expect(judge(first, { certificate: "AAAA", cross: "AAAA" })).toBe("root_unreadable");
  expect(judge(first, await word(first, second), Date.now() + 48 * hour)).toBe("root_not_succeeded");
});

test("one server is reached by who pins the old root and by who pins the new one", async () => {
  const { requestDer, privateKeyPem } = await createCertificateRequest("home");
  const options = {
    commonName: "home",
    lifetimeMs: hour,
    uris: ["urn:test:home"],
    permittedHosts: ["localhost"],
  };
  const certificatePem = await signIntermediateRequest(second, requestDer, options);
  const leaf = await issueCertificate(
    { certificatePem, privateKeyPem },
    { commonName: "localhost", hosts: ["localhost"], uses: ["server"], lifetimeMs: hour },
  );
  const cross = await crossCertify(first, second.certificatePem, [`${prefix}2`]);
  const shown = `${leaf.certificatePem.trim()}\n${certificatePem.trim()}\n`;
  const said = await Promise.all(
    [first, second, stranger].map(async (root) => [
      await handshake({ ...leaf, certificatePem: shown + cross }, root),
      await handshake({ ...leaf, certificatePem: shown }, root),
    ]),
  );
  const unknown = expect.stringMatching(/local issuer|self-signed|signature failure/);
  expect(said).toEqual([
    ["connected", unknown],
    ["connected", "connected"],
    [unknown, unknown],
  ]);
});

async function handshake(identity: TlsIdentity, root: TlsIdentity): Promise<string> {
  const server = createServer(serverTlsOptions({ identity }));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  const trust = clientTlsOptions({ authorityPem: root.certificatePem, issuerUri: "urn:test:home" });
  const said = await new Promise<string>((resolve) => {
    const socket = connect({ ...trust, host: "localhost", port }, () => {
      resolve("connected");
      socket.destroy();
    });
    socket.once("error", (error) => resolve(error.message));
  });
  server.close();
  return said;
}
