/** What `biplane data init` decided: written once, read at every start. Holds no secret. */
import { BiplaneError, parseClusterId, parseOrgId, parseRegionRestriction } from "@biplane/base";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";
import { z } from "zod";
import { keyProviderSchema } from "./keys/open-provider.ts";

/** `https://host:port` and nothing after it. */
const address = z.string().refine(isAddress, "has to be https://HOST:PORT");

const schema = z.object({
  version: z.literal(1),
  org: z.string().transform(parseOrgId),
  cluster: z.string().transform(parseClusterId),
  region: z.string().min(1),
  /** Where the control plane may be, as `eu-*`: the organization's metadata is there. Anywhere where there is none. */
  metadataRegions: z.array(z.string().transform(parseRegionRestriction)).max(64).default([]),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9-]{2,62}$/),
  addresses: z.object({ router: address, authority: address, objects: address }),
  /** The home cluster that this one joined; absent in the home cluster itself. */
  home: z.object({ router: address }).optional(),
  /** Where the customer's keys are; files beside the state by default. */
  keys: keyProviderSchema.default({ kind: "file" }),
});

export type DataPlaneConfig = z.infer<typeof schema>;

export function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.protocol === "https:" && url.origin === text.replace(/:443$/, "");
}

/** Of the servers that this cluster itself runs, one for each of them. */
export function ownHosts({ addresses, home }: DataPlaneConfig): string[] {
  const { router, objects, authority } = addresses;
  const own = home === undefined ? [router, authority, objects] : [router, objects];
  return own.map((address) => new URL(address).hostname);
}

export async function readConfig(path: string): Promise<DataPlaneConfig> {
  const content = await readFileIfAny(path);
  if (content === undefined) {
    throw new BiplaneError("failed_precondition", {
      what: `There is no data plane in this state folder: ${path} is missing.`,
      next: "Run `biplane data init` first, or give the right folder by --state.",
    });
  }
  const parsed = schema.safeParse(JSON.parse(content.toString("utf8")));
  if (parsed.success) return parsed.data;
  throw new BiplaneError("failed_precondition", {
    what: `${path} can't be used.`,
    why: z.prettifyError(parsed.error),
    next: "Restore it from a backup, or run `biplane data init` with another state folder.",
  });
}

export async function writeConfig(path: string, config: DataPlaneConfig): Promise<void> {
  await writeFileDurably(path, `${JSON.stringify(config, null, 2)}\n`);
}
