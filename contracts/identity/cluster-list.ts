/** The list of the organization's clusters: the only routers and authorities that clients and clusters believe. */
import { z } from "zod";
import { documentSchema } from "./signed-document.ts";

const address = z
  .string()
  .max(300)
  .regex(/^https:\/\/[^/\s?#@]+$/);
const text = z.string().regex(/^[^\p{Cc}]{0,255}$/u);

const cluster = z.strictObject({
  name: z
    .string()
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/),
  /** Hosts the authority; exactly one does. */
  home: z.boolean(),
  region: text,
  router: address,
  authority: address.optional(),
  objects: address,
  /** SHA-256 of its intermediate's DER form, lower-case hex. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  /** Public keys of its own tokens. */
  keys: z
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
    .max(16),
});

const content = { clusters: z.array(cluster).max(1_000) };

export const clusterListDocument = documentSchema(content);
export const clusterListContent = z.strictObject(content);
export type ClusterListContent = z.infer<typeof clusterListContent>;
