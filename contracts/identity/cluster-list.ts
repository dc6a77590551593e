/** The list of the organization's clusters: the only routers and authorities that clients and clusters believe. */
import { z } from "zod";
import { documentSchema } from "./signed-document.ts";

const address = z
  .string()
  .max(300)
  .regex(/^https:\/\/[^/\s?#@]+$/);
const text = z.string().regex(/^[^\p{Cc}]{0,255}$/u);

const publicKeys = z
  .array(
    z.strictObject({
      kty: z.enum(["OKP", "EC"]),
      crv: z.enum(["Ed25519", "P-256"]),
      x: z.string().max(64),
      y: z.string().max(64).optional(),
      kid: z.string().max(128),
      alg: z.enum(["EdDSA", "ES256"]),
      use: z.literal("sig"),
    }),
  )
  .max(16);

export const listedCluster = z.strictObject({
  name: z
    .string()
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/),
  region: text,
  router: address,
  objects: address,
  /** Where people and programs sign in, and the keys of its access tokens: in the home cluster, and in no other one. */
  authority: z.strictObject({ address, keys: publicKeys }).optional(),
  /** SHA-256 of its intermediate's DER form, lower-case hex. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** Public keys of its own tasks' tokens, which open its own router alone. */
  taskKeys: publicKeys,
});

export type ListedCluster = z.infer<typeof listedCluster>;
export type PublicKeys = ListedCluster["taskKeys"];
export const listedKeys = publicKeys;

const certificate = z
  .string()
  .max(4_096)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/);

/** The root that took another one's place: certificates in DER, base64. */
export const listedRoot = z.strictObject({
  /** Signed by itself. */
  certificate,
  /** Its key under the signature of the root before: without that nobody believes it. */
  cross: certificate,
  /** Every cluster in the list has its intermediate under it: clients may leave the root before. */
  isEverywhere: z.boolean(),
  /** Servers no longer show the word of the root before. */
  isOver: z.boolean(),
});
export type ListedRoot = z.infer<typeof listedRoot>;

const content = {
  root: listedRoot.optional(),
  clusters: z.array(listedCluster).max(1_000).refine(isWhole, "has one home, and each name once"),
};

export const clusterListDocument = documentSchema(content);
export const clusterListContent = z.strictObject(content);
export type ClusterListContent = z.infer<typeof clusterListContent>;

/** The cluster that hosts the authority. */
export function homeOf(list: ClusterListContent | undefined): ListedCluster | undefined {
  return list?.clusters.find(({ authority }) => authority !== undefined);
}

function isWhole(clusters: readonly ListedCluster[]): boolean {
  const homes = clusters.filter(({ authority }) => authority !== undefined);
  return homes.length <= 1 && new Set(clusters.map(({ name }) => name)).size === clusters.length;
}
