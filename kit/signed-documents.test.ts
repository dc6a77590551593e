import { createIntermediate } from "@biplane/verify/hostile-control-plane/intermediate";
import { CompactSign, generateKeyPair, importPKCS8, type CryptoKey as JoseKey } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { createRootAuthority, issueCertificate, issueDocumentSigner } from "./certificates.ts";
import { openDocument, signDocument } from "./signed-documents.ts";
import type { TlsIdentity } from "./tls.ts";

const hour = 3_600_000;
const uri = "urn:biplane:authority:acme";
const type = "biplane-policy+jws";
let root: TlsIdentity;
let intermediate: TlsIdentity;
let signer: TlsIdentity;

beforeAll(async () => {
  root = await createRootAuthority("root", 24 * hour);
  intermediate = await createIntermediate(root, "home", 12 * hour, [uri]);
  signer = await issueDocumentSigner(intermediate, { commonName: "authority", uri, lifetimeMs: hour });
});

const chained = (...identities: TlsIdentity[]): TlsIdentity => ({
  certificatePem: identities.map(({ certificatePem }) => certificatePem.trim()).join("\n"),
  privateKeyPem: identities[0]!.privateKeyPem,
});
const open = (text: string, fields: object = {}) =>
  openDocument(text, {
    type,
    rootPem: root.certificatePem,
    signerUri: uri,
    nowMs: Date.now(),
    bytesMax: 4_096,
    ...fields,
  });
const sign = (by: TlsIdentity, payload: object = { says: "so" }) => signDocument(payload, type, by);

test("control: what the authority signed is opened", async () => {
  const text = await sign(chained(signer, intermediate));
  expect(await open(text)).toEqual({ kind: "open", payload: { says: "so" } });
});

describe("refused is a document (claim TRUST-1)", () => {
  test("of another kind, root, or authority, or after its certificate's end", async () => {
    const text = await sign(chained(signer, intermediate));
    const other = await createRootAuthority("root", hour);
    expect(await open(text, { type: "biplane-clusters+jws" })).toEqual({ kind: "wrong_type" });
    expect(await open(text, { rootPem: other.certificatePem })).toEqual({ kind: "unknown_authority" });
    expect(await open(text, { signerUri: "urn:biplane:authority:other" })).toEqual({ kind: "wrong_signer" });
    expect(await open(text, { nowMs: Date.now() + 2 * hour })).toEqual({ kind: "certificate_expired" });
    expect(await open(text, { bytesMax: 100 })).toEqual({ kind: "too_large" });
  });

  test("whose content or signature was changed", async () => {
    const [header, payload, signature] = (await sign(chained(signer, intermediate))).split(".");
    const changed = Buffer.from('{"says":"no"}').toString("base64url");
    expect(await open(`${header}.${changed}.${signature}`)).toEqual({ kind: "bad_signature" });
    expect(await open(`${header}.${payload}.`)).toEqual({ kind: "bad_signature" });
    expect(await open("no document")).toEqual({ kind: "unreadable" });
  });

  test("without a signature, under another key, or with a header that says more", async () => {
    const key = (await importPKCS8(signer.privateKeyPem, "EdDSA")) as JoseKey;
    const [header, payload] = (await sign(chained(signer, intermediate))).split(".");
    const { x5c } = JSON.parse(Buffer.from(header!, "base64url").toString()) as { x5c: string[] };
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const none = `${encode({ alg: "none", typ: type, x5c })}.${payload}.`;
    expect(await open(none)).toEqual({ kind: "wrong_type" });
    const bytes = Buffer.from("{}");
    const more = await new CompactSign(bytes)
      .setProtectedHeader({ alg: "EdDSA", typ: type, x5c, kid: "x" })
      .sign(key);
    expect(await open(more)).toEqual({ kind: "wrong_type" });
    const { privateKey } = await generateKeyPair("EdDSA");
    const stolen = await new CompactSign(bytes)
      .setProtectedHeader({ alg: "EdDSA", typ: type, x5c })
      .sign(privateKey);
    expect(await open(stolen)).toEqual({ kind: "bad_signature" });
  });

  test("signed by what the organization made for something else", async () => {
    const options = { commonName: "authority", uri, lifetimeMs: hour };
    const router = await issueCertificate(intermediate, {
      commonName: "router",
      hosts: ["localhost"],
      uses: ["server"],
      lifetimeMs: hour,
    });
    // An Ed25519 key under the router's certificate would not fit it; the chain is refused before that matters.
    const asRouter = { ...chained(router, intermediate), privateKeyPem: signer.privateKeyPem };
    expect(await open(await sign(asRouter))).toEqual({ kind: "wrong_signer" });
    // Another cluster's intermediate is below the root too, but the root did not name it the authority.
    const branch = await createIntermediate(root, "branch", hour, ["urn:biplane:cluster:acme:branch"]);
    const self = await issueDocumentSigner(branch, options);
    expect(await open(await sign(chained(self, branch)))).toEqual({ kind: "wrong_signer" });
    // The root allows one authority below it; a signer right below the root was not made by the authority.
    const direct = await issueDocumentSigner(root, options);
    expect(await open(await sign(direct))).toEqual({ kind: "wrong_signer" });
    const nested = await createIntermediate(intermediate, "nested", hour, [uri]);
    const deep = await issueDocumentSigner(nested, options);
    expect(await open(await sign(chained(deep, nested, intermediate)))).toEqual({ kind: "wrong_signer" });
    // A signer's certificate is no authority.
    const below = { ...intermediate, certificatePem: signer.certificatePem };
    expect(await open(await sign(chained(signer, below, intermediate)))).toEqual({
      kind: "unknown_authority",
    });
  });

  test("that is nested too deeply to be one of ours", async () => {
    const deep = JSON.parse(`${'{"a":'.repeat(20)}1${"}".repeat(20)}`) as object;
    expect(await open(await sign(chained(signer, intermediate), deep))).toEqual({ kind: "unreadable" });
  });
});
