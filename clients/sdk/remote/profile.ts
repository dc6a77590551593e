/** A profile says where a data plane is and whom to believe: its own root certificate, and no other. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { BiplaneError } from "@biplane/base";
import { z } from "zod";

const httpsUrl = z.url({ protocol: /^https$/ });

/** As `biplane data init` writes it; further fields are kept. */
export const profileSchema = z.looseObject({
  version: z.literal(1),
  org: z.string().min(1),
  cluster: z.string().min(1),
  router: httpsUrl,
  authority: httpsUrl,
  objects: httpsUrl,
  bucket: z.string().min(1),
  region: z.string().min(1),
  rootPem: z.string().startsWith("-----BEGIN CERTIFICATE-----"),
  rootFingerprint: z.string(),
  publicClientId: z.string().min(1),
});

export type Profile = z.infer<typeof profileSchema>;

/** The same data plane, under the root that took the place of the profile's. */
export function withRoot(profile: Profile, rootPem: string): Profile {
  if (rootPem === profile.rootPem) return profile;
  const { fingerprint256 } = new X509Certificate(rootPem);
  return { ...profile, rootPem, rootFingerprint: fingerprint256.replaceAll(":", "").toLowerCase() };
}

export async function readProfile(path: string): Promise<Profile> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new BiplaneError(
      "not_found",
      {
        what: `The profile ${path} can't be read.`,
        next: "Give the profile.json that `biplane data init` wrote.",
      },
      { cause },
    );
  });
  return parseProfile(text, path);
}

export function parseProfile(text: string, place: string): Profile {
  const json = parseJson(text);
  const parsed = profileSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new BiplaneError("invalid_argument", {
    what: `${place} is not a usable profile.`,
    why: json === undefined ? "It is no JSON." : issues.join("; "),
    next: "Take the profile.json that `biplane data init` wrote.",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
