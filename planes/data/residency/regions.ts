/**
 * Where everything of this plane is (claim RES-1): each backend is asked for its region, at the start and whenever
 * somebody wants to know. A plane whose stores are elsewhere than its operator declared does not start.
 */
import { BiplaneError, isRegionAllowed, undeclaredRegion } from "@biplane/base";

export type RegionSource = "beside" | "asked" | "declared";

export interface Located {
  /** Undefined where nobody knows. */
  readonly region: string | undefined;
  readonly source: RegionSource;
}

export interface Backend {
  readonly name: "objects" | "database" | "keys" | "logs" | "audit";
  readonly kind: string;
  locate(): Promise<Located>;
}

export interface LocatedBackend extends Located {
  readonly name: Backend["name"];
  readonly kind: string;
  readonly agrees: boolean;
}

export class Regions {
  readonly declared: string;
  readonly #backends: readonly Backend[];

  constructor(declared: string, backends: readonly Backend[]) {
    this.declared = declared;
    this.#backends = backends;
  }

  locate(): Promise<readonly LocatedBackend[]> {
    return Promise.all(
      this.#backends.map(async (backend) => {
        const located = await backend.locate();
        return { name: backend.name, kind: backend.kind, ...located, agrees: this.#agrees(located) };
      }),
    );
  }

  /** Throws `failed_precondition`, naming the first backend that is elsewhere or nowhere known. */
  async require(): Promise<void> {
    const stray = (await this.locate()).find(({ agrees }) => !agrees);
    if (stray !== undefined) throw elsewhere(this.declared, stray);
  }

  #agrees({ region }: Located): boolean {
    return this.declared === undeclaredRegion || region === this.declared;
  }
}

/** Throws `failed_precondition` where metadata would be somewhere that the organization does not let it be (claim RES-3). */
export function requireMetadataRegion(region: string, restrictions: readonly string[]): void {
  if (isRegionAllowed(region, restrictions)) return;
  throw new BiplaneError(
    "failed_precondition",
    {
      what: `The control plane is in ${region}, where this organization's metadata may not be.`,
      why: `It was pinned to ${restrictions.join(", ")} when this data plane was made.`,
      next: "Enroll with a control plane in one of these regions.",
    },
    { reason: "metadata_region" },
  );
}

const names: Readonly<Record<Backend["name"], string>> = {
  objects: "object store",
  database: "database",
  keys: "store of the customer's keys",
  logs: "log store",
  audit: "audit log",
};

function elsewhere(declared: string, { name, kind, region }: LocatedBackend): BiplaneError {
  const setting = name === "database" ? " Or say where it is: --database-region." : "";
  return new BiplaneError(
    "failed_precondition",
    {
      what: `The ${names[name]} (${kind}) is not in ${declared}, where this data plane was declared to be.`,
      why: region === undefined ? "It does not say in which region it is." : `It is in ${region}.`,
      next: `Use one in ${declared}, or declare the plane where its stores are.${setting}`,
    },
    { reason: "region_mismatch" },
  );
}
