/** Files of the checkout that verify uses as they are: workflows, which are bundled when they run, and a modified plane. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BiplaneError } from "@biplane/base";

/** `place`: relative to the checkout's root, which is above this file wherever it was built to. */
export function sourceFile(place: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const path = join(folder, place);
    if (existsSync(path)) return path;
    const parent = dirname(folder);
    if (parent === folder) {
      throw new BiplaneError("failed_precondition", {
        what: `The file ${place} is missing.`,
        next: "Run `npx biplane verify` in a checkout of Biplane.",
      });
    }
    folder = parent;
  }
}

export function workflowFile(name: string): string {
  return sourceFile(`verify/workflows/${name}`);
}
