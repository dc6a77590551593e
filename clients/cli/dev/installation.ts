/** Where this installation's programs are: beside the built CLI, or in `dist` where it runs from sources. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BiplaneError } from "@biplane/base";

export type Program = "control" | "edge" | "data" | "verify";

export function distFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const candidates = [here, join(here, "../../../dist")];
  const found = candidates.find((folder) => existsSync(join(folder, "data.mjs")));
  if (found !== undefined) return found;
  throw new BiplaneError("failed_precondition", {
    what: "The built programs (dist/*.mjs) are missing.",
    next: "Run `npm run build`.",
  });
}

export function programFile(program: Program): string {
  return join(distFolder(), `${program}.mjs`);
}
