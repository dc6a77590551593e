/** Organizations and the root that the first data plane of each pinned; what keys of control tokens may look like. */
import { BiplaneError, parseRegionRestriction } from "@biplane/base";
import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import { z } from "zod";
import { requireMetadataRegion } from "../region.ts";
import type { ControlTransaction, Store } from "../store/open.ts";

/** Idempotent. */
export async function createOrganization(store: Store, org: string, nowMs: number): Promise<void> {
  await store.asOrg(org, (transaction) =>
    transaction
      .insertInto("organization")
      .values({ org_id: org, created_at: nowMs, root_certificate: null, metadata_regions: null })
      .onConflict((conflict) => conflict.doNothing())
      .execute(),
  );
}

/** Where the organization lets its metadata be; later pins replace earlier ones, none at all leaves them. */
export async function pinMetadataRegions(
  store: Store,
  org: string,
  regions: readonly string[],
): Promise<void> {
  if (regions.length === 0) return;
  await store.asOrg(org, (transaction) => writeMetadataRegions(transaction, org, regions));
}

/** Throws `failed_precondition` where this control plane is not where the organization lets its metadata be. */
export async function requirePinnedRegions(
  transaction: ControlTransaction,
  org: string,
  region: string,
  wanted: readonly string[],
): Promise<void> {
  const row = await transaction
    .selectFrom("organization")
    .select("metadata_regions")
    .where("org_id", "=", org)
    .executeTakeFirst();
  requireMetadataRegion(region, parsePins(row?.metadata_regions));
  requireMetadataRegion(region, wanted.map(parseRegionRestriction));
  if (wanted.length > 0) await writeMetadataRegions(transaction, org, wanted);
}

function parsePins(text: string | null | undefined): readonly string[] {
  return text === null || text === undefined ? [] : text.split(" ");
}

async function writeMetadataRegions(
  transaction: ControlTransaction,
  org: string,
  regions: readonly string[],
): Promise<void> {
  await transaction
    .updateTable("organization")
    .set({ metadata_regions: regions.join(" ") })
    .where("org_id", "=", org)
    .execute();
}

/**
 * The first enrollment pins the organization's root; later ones have to show the same. `isReplaced`: it was the
 * organization's once, as an older backup still holds it.
 */
export async function pinRoot(
  transaction: ControlTransaction,
  org: string,
  root: Uint8Array,
  isReplaced: boolean,
): Promise<void> {
  const row = await transaction
    .selectFrom("organization")
    .select("root_certificate")
    .where("org_id", "=", org)
    .executeTakeFirstOrThrow();
  if (row.root_certificate !== null && !Buffer.from(row.root_certificate).equals(root)) {
    throw isReplaced ? replacedRoot(org) : otherRoot(org);
  }
  await transaction
    .updateTable("organization")
    .set({ root_certificate: root })
    .where("org_id", "=", org)
    .execute();
}

/** Public signing keys only: a private part would be a capability, which has no business here. */
const keySet = z.object({
  keys: z
    .array(
      z.strictObject({
        kty: z.enum(["OKP", "EC"]),
        crv: z.enum(["Ed25519", "P-256"]),
        x: z.string().max(64),
        y: z.string().max(64).optional(),
        kid: z.string().max(128).optional(),
        alg: z.enum(["EdDSA", "Ed25519", "ES256"]).optional(),
        use: z.literal("sig").optional(),
        key_ops: z.array(z.literal("verify")).optional(),
      }),
    )
    .min(1)
    .max(16),
});

export function checkTokenKeys(text: string): void {
  try {
    createLocalJWKSet(keySet.parse(JSON.parse(text)) as JSONWebKeySet);
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: "The keys of the control tokens are no set of public keys.",
        next: "Send a JWK set with Ed25519 or P-256 public keys.",
      },
      { cause, reason: "control_token_keys" },
    );
  }
}

function otherRoot(org: string): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: `Organization ${org} has another root.`,
      why: "The first enrollment of an organization pins its root.",
      next: "Join the organization's home cluster in place of making a new root.",
    },
    { reason: "organization_root" },
  );
}

function replacedRoot(org: string): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: `This is the root that organization ${org} had before: it was replaced.`,
      why: "A backup that was made before `biplane root rotate` holds the old root.",
      next: "Restore a backup that was made after it, into an empty state folder.",
    },
    { reason: "organization_root_replaced" },
  );
}
