/** Where this control plane is: declared by its operator once, and kept, since customers rely on it (claim RES-3). */
import { join } from "node:path";
import { BiplaneError, isRegionAllowed, parseRegion, undeclaredRegion } from "@biplane/base";
import { readFileIfAny, writeFileDurably } from "@biplane/kit/files";

/** The region that was declared; `given` declares it where none was. A later declaration of another one is refused. */
export async function declareRegion(folder: string, given: string | undefined): Promise<string> {
  const path = join(folder, "region");
  const kept = (await readFileIfAny(path))?.toString("utf8").trim();
  if (kept !== undefined && given !== undefined && given !== kept) throw declaredElsewhere(kept, given);
  if (kept !== undefined) return kept;
  if (given === undefined) return undeclaredRegion;
  await writeFileDurably(path, `${parseRegion(given)}\n`);
  return given;
}

/** Throws `failed_precondition`, reason `metadata_region`, where an organization does not let its metadata be here. */
export function requireMetadataRegion(region: string, restrictions: readonly string[]): void {
  if (isRegionAllowed(region, restrictions)) return;
  throw new BiplaneError(
    "failed_precondition",
    {
      what: `This control plane is in ${region}, and the organization's metadata may be in ${restrictions.join(", ")} only.`,
      why: "The index of its runs would be kept here.",
      next: "Create the organization on a control plane in one of these regions.",
    },
    { reason: "metadata_region" },
  );
}

function declaredElsewhere(kept: string, given: string): BiplaneError {
  return new BiplaneError("failed_precondition", {
    what: `This control plane was declared to be in ${kept}, not in ${given}.`,
    why: "Organizations were let in on that word, and some restrict where their metadata may be.",
    next: `Start it with --region ${kept}, or set up another control plane in ${given}.`,
  });
}
