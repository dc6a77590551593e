/** Specifications that children name by digest: sent once, remembered a while, else read from the documents. */
import { createHash } from "node:crypto";
import { BiplaneError, type Digest, isBiplaneError, MiB, parseDigest } from "@biplane/base";
import type { Runs } from "../runs/types.ts";

const rememberedBytesMax = 64 * MiB;

export class SpecMemory {
  readonly #runs: Pick<Runs, "document">;
  readonly #specs = new Map<Digest, Uint8Array>();
  #bytes = 0;

  constructor(runs: Pick<Runs, "document">) {
    this.#runs = runs;
  }

  remember(spec: Uint8Array): void {
    const digest = parseDigest(createHash("sha256").update(spec).digest("hex"));
    if (this.#specs.has(digest)) return;
    this.#specs.set(digest, spec);
    this.#bytes += spec.length;
    while (this.#bytes > rememberedBytesMax) {
      const [oldest, bytes] = this.#specs.entries().next().value!;
      this.#specs.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }

  async find(project: string, digestBytes: Uint8Array): Promise<Uint8Array> {
    const digest = parseDigest(Buffer.from(digestBytes).toString("hex"));
    const known = this.#specs.get(digest);
    if (known !== undefined) return known;
    try {
      const stored = await this.#runs.document(project, digest);
      this.remember(stored);
      return stored;
    } catch (error) {
      if (!isBiplaneError(error, "not_found")) throw error;
      throw new BiplaneError(
        "failed_precondition",
        {
          what: "A sub-action's specification is unknown here.",
          next: "Send it in `task_specs` with the same request.",
        },
        { reason: "spec_unknown" },
      );
    }
  }
}
