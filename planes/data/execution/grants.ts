/**
 * What an attempt may read and write in the store: its run's objects, its bundle, and what the run's own inputs name
 * in its project and domain. Inputs of sub-actions add nothing: a task writes those itself.
 */
import { limits, rootAction } from "@biplane/base";
import { parseObjectUri, projectPrefix, runPrefix } from "@biplane/layout";
import type { ObjectStore } from "../objects/types.ts";
import type { Lease, Runs } from "../runs/types.ts";
import { namedObjects } from "./named-objects.ts";

const runsRemembered = 256;

export interface StoreGrant {
  readonly readPrefixes: readonly string[];
  readonly writePrefixes: readonly string[];
}

export class GrantPlanner {
  readonly #runs: Pick<Runs, "getAction">;
  readonly #objects: ObjectStore;
  /** By run, oldest first: what its inputs name. */
  readonly #named = new Map<string, Promise<readonly string[]>>();

  constructor(runs: Pick<Runs, "getAction">, objects: ObjectStore) {
    this.#runs = runs;
    this.#objects = objects;
  }

  async plan(lease: Lease, bundleUri: string | undefined): Promise<StoreGrant> {
    const own = runPrefix(lease);
    const bundle = bundleUri === undefined ? [] : [parseObjectUri(bundleUri).key];
    const inputs = parseObjectUri(lease.record.inputUri).key;
    return {
      readPrefixes: [own, inputs, ...bundle, ...(await this.#namedByRun(lease))],
      writePrefixes: [own],
    };
  }

  #namedByRun(lease: Lease): Promise<readonly string[]> {
    const key = runPrefix(lease);
    let named = this.#named.get(key);
    if (named === undefined) {
      named = this.#readNamed(lease);
      this.#named.set(key, named);
      named.catch(() => this.#named.delete(key));
      for (const oldest of this.#named.keys()) {
        if (this.#named.size <= runsRemembered) break;
        this.#named.delete(oldest);
      }
    }
    return named;
  }

  async #readNamed(lease: Lease): Promise<readonly string[]> {
    const root =
      lease.action === rootAction
        ? lease.record
        : await this.#runs.getAction({ ...lease, action: rootAction });
    const bytes = await this.#objects.read(parseObjectUri(root.inputUri).key, limits.readBytesMax);
    if (bytes === undefined) return [];
    const uriStart = `s3://${this.#objects.bucket}/`;
    const keys = namedObjects(bytes).map((uri) =>
      uri.startsWith(uriStart) ? uri.slice(uriStart.length) : "",
    );
    const own = projectPrefix(lease);
    return keys.filter(
      (key) => key.startsWith(own) && key.length > own.length && !key.split("/").includes(".."),
    );
  }
}
