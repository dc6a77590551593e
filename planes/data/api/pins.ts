/**
 * What a submission refers to, pinned: each object has to be below its project-domain's prefix and its SHA-256 is
 * recorded, so that what runs is what was submitted (rule of state 11, claim TRUST-2).
 */
import { createHash } from "node:crypto";
import { BiplaneError, type ProjectDomain } from "@biplane/base";
import type { flyte } from "@biplane/data-wire";
import { projectPrefix, requireOwnLocation } from "@biplane/layout";
import type { ObjectPin } from "../runs/types.ts";
import type { ApiParts } from "./parts.ts";

type Stores = Pick<ApiParts, "objects">;
const bundleArguments = new Set(["--tgz", "--pkl"]);

/** The code bundles that a task's arguments name. */
export function bundleUris(spec: flyte.task.TaskSpec): string[] {
  const target = spec.taskTemplate?.target;
  if (target?.case !== "container") return [];
  const { args } = target.value;
  return args.flatMap((argument, index) => {
    const uri = args[index + 1];
    return bundleArguments.has(argument) && uri !== undefined ? [uri] : [];
  });
}

export async function bundlePins(
  stores: Stores,
  scope: ProjectDomain,
  spec: flyte.task.TaskSpec,
): Promise<ObjectPin[]> {
  return Promise.all(bundleUris(spec).map((uri) => pinObject(stores, scope, uri, "code bundle")));
}

export async function pinObject(
  stores: Stores,
  scope: ProjectDomain,
  uri: string,
  what: "code bundle" | "inputs",
): Promise<ObjectPin> {
  const { key } = requireOwnLocation(uri, stores.objects.bucket, projectPrefix(scope));
  const head = await stores.objects.head(key);
  if (head === undefined) {
    throw new BiplaneError(
      "failed_precondition",
      {
        what: `The ${what} at ${uri} is missing.`,
        why: "It was never uploaded, or was deleted.",
        next: "Upload it, then submit again.",
      },
      { reason: what === "inputs" ? "inputs_missing" : "bundle_missing" },
    );
  }
  return { uri, sha256: head.sha256 ?? (await digestOf(stores, key)) };
}

/** Objects that came in several parts have no digest of the whole yet. */
async function digestOf(stores: Stores, key: string): Promise<string> {
  const content = await stores.objects.get(key);
  if (content === undefined) throw new BiplaneError("aborted", "The object was deleted meanwhile.");
  const hash = createHash("sha256");
  for await (const chunk of content.body) hash.update(chunk);
  return hash.digest("hex");
}
