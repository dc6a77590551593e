/** The customer's own OpenID provider, as `biplane data federate` wrote it down. Names the secret's file, holds no secret. */
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { z } from "zod";

const schema = z.object({
  version: z.literal(1),
  /** What the button says. */
  name: z.string().min(1).max(100),
  issuer: z.url({ protocol: /^https$/ }),
  clientId: z.string().min(1).max(255),
  /** Read at each start, so that a secret can be renewed in place. */
  clientSecretFile: z.string().min(1),
  scopes: z.string().default("openid profile email"),
  groupsClaim: z.string().min(1).max(255).default("groups"),
  /** Only these groups are taken over; all of them where it is empty. */
  groups: z.array(z.string().min(1).max(255)).max(100).default([]),
});

export type FederationConfig = z.infer<typeof schema>;

export function federationPath(folder: string): string {
  return join(folder, "federation.json");
}

/** Undefined where nobody federates. */
export async function readFederation(path: string): Promise<FederationConfig | undefined> {
  const content = await readFileIfAny(path);
  return content === undefined ? undefined : parseFederation(JSON.parse(content.toString("utf8")));
}

export function parseFederation(value: unknown): FederationConfig {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BiplaneError("invalid_argument", {
    what: "The settings of your own OpenID provider can't be used.",
    why: z.prettifyError(parsed.error),
    next: "Run `biplane data federate` again.",
  });
}

export async function writeFederation(path: string, config: FederationConfig): Promise<void> {
  await writeFileDurably(path, `${JSON.stringify(config, null, 2)}\n`);
}

export async function readClientSecret(config: FederationConfig): Promise<string> {
  const secret = (await readFileIfAny(config.clientSecretFile))?.toString("utf8").trim();
  if (secret !== undefined && secret !== "") return secret;
  throw new BiplaneError("failed_precondition", {
    what: `There is no secret in ${config.clientSecretFile}.`,
    why: "It is what this plane shows to your own OpenID provider.",
    next: "Write it there, or name another file with `biplane data federate`.",
  });
}
