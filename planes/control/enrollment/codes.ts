/** One-time codes that a provider gives to a data plane. Only the hash of a code's secret is kept. */
import { createHash, randomBytes, X509Certificate } from "node:crypto";
import { BiplaneError } from "@biplane/base";
import { z } from "zod";
import type { ControlTransaction, Store } from "../store/open.ts";

/** Where the cluster's edge and its public listeners are, by service. */
export const addressesSchema = z.object({
  edge: z.string().max(255).default(""),
  public: z.partialRecord(z.enum(["router", "authority", "objects"]), z.string().max(255)).default({}),
});
export interface ClusterAddresses {
  readonly edge: string;
  readonly public: Readonly<Partial<Record<"router" | "authority" | "objects", string>>>;
}

export interface NewCode {
  readonly org: string;
  readonly cluster: string;
  readonly expiresAtMs: number;
  /** SHA-256 of the only root that the code may pin; any, where absent and none is pinned yet. */
  readonly rootHash?: Uint8Array;
  readonly addresses: ClusterAddresses;
}

/** What the data plane is told of this control plane beforehand. */
export interface CodeIssuer {
  readonly linkAddress: string;
  readonly rootPem: string;
  readonly region: string;
}

/** What goes to the data plane: where the control plane is, the root to know it by, and the secret. */
export async function issueCode(
  store: Store,
  code: NewCode,
  { linkAddress, rootPem, region }: CodeIssuer,
): Promise<string> {
  const { org, cluster, expiresAtMs, addresses, rootHash } = code;
  const secret = randomBytes(32);
  const proof = proofOf(secret);
  await store.asOrg(org, (transaction) =>
    transaction
      .insertInto("enrollment_code")
      .values({
        org_id: org,
        proof,
        cluster,
        expires_at: expiresAtMs,
        used_at: null,
        root_hash: rootHash ?? null,
        addresses_sealed: store.seal(addressesPlace(org, proof), JSON.stringify(addresses)),
      })
      .execute(),
  );
  const root = new X509Certificate(rootPem).raw.toString("base64url");
  const content = { address: linkAddress, root, region, secret: secret.toString("base64url") };
  return Buffer.from(JSON.stringify(content)).toString("base64url");
}

export function proofOf(secret: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(secret).digest());
}

/** Marks the code as used; of two at once one wins. Throws the same for every code that does not work. */
export async function redeemCode(
  store: Store,
  transaction: ControlTransaction,
  {
    org,
    cluster,
    proof,
    rootHash,
    nowMs,
  }: { org: string; cluster: string; proof: Uint8Array; rootHash: Uint8Array; nowMs: number },
): Promise<ClusterAddresses> {
  const row = await transaction
    .updateTable("enrollment_code")
    .set({ used_at: nowMs })
    .where((where) => where.and({ org_id: org, cluster, proof }))
    .where("used_at", "is", null)
    .where("expires_at", ">", nowMs)
    .where((where) => where.or([where("root_hash", "is", null), where("root_hash", "=", rootHash)]))
    .returning("addresses_sealed")
    .executeTakeFirst();
  if (row !== undefined) {
    const text = store.open(addressesPlace(org, proof), row.addresses_sealed);
    return addressesSchema.parse(JSON.parse(text));
  }
  throw new BiplaneError(
    "permission_denied",
    {
      what: "The enrollment code does not work.",
      why: "It was used, it expired, or it was made for another cluster or root.",
      next: "Ask the control plane's operator for a new one: biplane control enroll-code.",
    },
    { reason: "enrollment_code" },
  );
}

function addressesPlace(org: string, proof: Uint8Array) {
  return {
    org,
    table: "enrollment_code",
    column: "addresses",
    key: [Buffer.from(proof).toString("hex")],
  } as const;
}
