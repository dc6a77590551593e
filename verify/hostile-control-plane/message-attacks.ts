/** What a control plane may say over the link unasked (claims TRUST-1, TRUST-3): each is refused, and on record. */
import {
  type ConnectResponse,
  ConnectResponseSchema,
  DocumentKind,
  type Intent,
  IntentSchema,
  SignedDocumentSchema,
} from "@biplane/control-wire";
import { authorityUri, documentTypes } from "@biplane/identity";
import { issueDocumentSigner, signDocument, type TlsIdentity } from "@biplane/kit";
import { clone, create } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { createAuthority, policyFor } from "./authority.ts";
import type { Known, MessageType } from "./known.ts";

export interface MessageAttack {
  readonly claim: "TRUST-1" | "TRUST-2" | "TRUST-3";
  /** A message without a number gets the next one; one that has its own goes as it is. */
  say(known: Known): Promise<ConnectResponse>;
  readonly audited: {
    readonly code: "DOCUMENT_REFUSED" | "LINK_REFUSED" | "INTENT_REFUSED";
    readonly reason: RegExp;
  };
}

const documentRefused = (reason: RegExp) => ({ code: "DOCUMENT_REFUSED", reason }) as const;
const linkRefused = (reason: RegExp) => ({ code: "LINK_REFUSED", reason }) as const;

/** The attacker as administrator of everything. */
export const attacker = "mallory";
const ownPolicy = policyFor({ [attacker]: "Admin" });

const attacks: Record<string, MessageAttack> = {
  "a policy bundle of its own, under the provider's root": {
    claim: "TRUST-1",
    say: async ({ org, provider }) =>
      document("policy", await (await createAuthority(org, provider)).sign("policy", 1_000_000, ownPolicy)),
    audited: documentRefused(/^document_unknown_authority$/),
  },
  "a list of clusters of its own": {
    claim: "TRUST-1",
    say: async ({ org, provider }) =>
      document(
        "clusters",
        await (await createAuthority(org, provider)).sign("clusters", 1_000_000, { clusters: [] }),
      ),
    audited: documentRefused(/^document_unknown_authority$/),
  },
  "the genuine policy bundle with another content": {
    claim: "TRUST-1",
    say: async (known) => {
      const [header, payload, signature] = (await genuine(known)).split(".") as [string, string, string];
      const content = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
      const changed = JSON.stringify({ ...content, ...ownPolicy, version: 1_000_000 });
      return document("policy", `${header}.${Buffer.from(changed).toString("base64url")}.${signature}`);
    },
    audited: documentRefused(/^document_bad_signature$/),
  },
  "the genuine certificates over a signature of its own": {
    claim: "TRUST-1",
    say: async (known) => {
      const [header] = (await genuine(known)).split(".") as [string];
      const own = await ownSigned(known);
      return document("policy", `${header}.${own.split(".").slice(1).join(".")}`);
    },
    audited: documentRefused(/^document_bad_signature$/),
  },
  "an older policy bundle": {
    claim: "TRUST-3",
    say: async (known) => {
      const policies = known.documents().filter(({ kind }) => kind === DocumentKind.POLICY);
      return document("policy", policies.toSorted((a, b) => versionOf(a.jws) - versionOf(b.jws))[0]!.jws);
    },
    audited: documentRefused(/^document_rolled_back$/),
  },
  "an intent that names a storage prefix": {
    claim: "TRUST-2",
    say: async (known) => {
      const value = clone(IntentSchema, known.intents().at(-1) as Intent);
      const data = Buffer.from("\u0015s3://elsewhere/stolen");
      value.$unknown = [{ no: 99, wireType: WireType.LengthDelimited, data }];
      return create(ConnectResponseSchema, { message: { case: "intent", value } });
    },
    audited: linkRefused(/^unfit_message$/),
  },
  "the intent of a run that has ended, numbered anew": {
    claim: "TRUST-3",
    say: async (known) => {
      const value = clone(IntentSchema, known.intents().at(-1) as Intent);
      return create(ConnectResponseSchema, { message: { case: "intent", value } });
    },
    audited: { code: "INTENT_REFUSED", reason: /^replayed$/ },
  },
  "an end of a run in a user's name, as an older protocol had it": {
    claim: "TRUST-1",
    say: async () => {
      const response = create(ConnectResponseSchema);
      response.$unknown = [
        { no: 4, wireType: WireType.LengthDelimited, data: Buffer.from("\u0005\u001a\u0003abc") },
      ];
      return response;
    },
    audited: linkRefused(/^unfit_message$/),
  },
  "an acknowledgement of what was never sent": {
    claim: "TRUST-3",
    say: async () =>
      create(ConnectResponseSchema, { message: { case: "ack", value: { cursor: 1_000_000_000n } } }),
    audited: linkRefused(/^never_sent$/),
  },
};

/** Every type of message that the protocol knows downwards, so that a new one is attacked from its first day. */
const types = ConnectResponseSchema.oneofs[0]!.fields.map((field) => field.localName as MessageType);

for (const type of types) {
  attacks[`a ${type} that came before in the same connection`] = {
    claim: "TRUST-3",
    say: (known) => known.recorded(type, "this connection"),
    audited: linkRefused(type === "welcome" ? /^unexpected_message$/ : /^message_replayed$/),
  };
  attacks[`a ${type} that came in an earlier connection`] = {
    claim: "TRUST-3",
    say: (known) => known.recorded(type, "an earlier one"),
    audited: linkRefused(type === "welcome" ? /^unexpected_message$/ : /^foreign_session$/),
  };
}

export const messageAttacks: Readonly<Record<string, MessageAttack>> = attacks;

function document(kind: "policy" | "clusters", jws: string): ConnectResponse {
  const kinds = { policy: DocumentKind.POLICY, clusters: DocumentKind.CLUSTERS };
  const value = create(SignedDocumentSchema, { kind: kinds[kind], jws });
  return create(ConnectResponseSchema, { message: { case: "document", value } });
}

async function genuine(known: Known): Promise<string> {
  const { message } = await known.recorded("document", "this connection");
  if (message.case !== "document") throw new Error("Not a document.");
  return message.value.jws;
}

/** A signature that is good for a key of its own making. */
async function ownSigned({ org, provider }: Known): Promise<string> {
  const options = { commonName: "authority", uri: authorityUri(org), lifetimeMs: 3_600_000 };
  const signer: TlsIdentity = await issueDocumentSigner(provider, options);
  const issuedAt = Math.floor(Date.now() / 1_000);
  const head = { org, version: 1_000_000, issuedAt, expiresAt: issuedAt + 900 };
  return signDocument({ ...head, ...ownPolicy }, documentTypes.policy, signer);
}

function versionOf(jws: string): number {
  const payload = Buffer.from(jws.split(".")[1]!, "base64url").toString();
  return (JSON.parse(payload) as { version: number }).version;
}
