/** Where this cluster keeps what it holds, and whom it talks to (claims RES-1, RES-3, RES-4). */
import { residency } from "@biplane/data-wire";
import type { RegionSource } from "../residency/regions.ts";
import { serve } from "../router/router.ts";
import type { ApiParts } from "./parts.ts";

const sources: Readonly<Record<RegionSource, residency.RegionSource>> = {
  beside: residency.RegionSource.BESIDE,
  asked: residency.RegionSource.ASKED,
  declared: residency.RegionSource.DECLARED,
};

export function residencyService({ cluster, residency: parts }: ApiParts) {
  return serve(residency.ResidencyService, {
    getRegions: async () => ({
      cluster,
      region: parts.regions.declared,
      controlPlaneRegion: parts.controlPlaneRegion(),
      metadataRegions: [...parts.metadataRegions],
      backends: (await parts.regions.locate()).map(({ name, kind, region, source, agrees }) => ({
        backend: name,
        kind,
        region: region ?? "",
        source: sources[source],
        agrees,
      })),
    }),
    listDestinations: () => ({ destinations: parts.destinations().map((one) => ({ ...one })) }),
  });
}
