/** RES-3: the control plane's own region is declared and visible. */
import type { Claim } from "../frame/claim.ts";

export const res3: Claim = {
  id: "RES-3",
  text: "The control plane's own region is declared and visible, so that metadata residency can be judged too.",
  from: "client",

  async prove(subject, seen) {
    const { residency, records } = subject.connection;
    const { controlPlaneRegion, metadataRegions } = await residency.getRegions({});
    seen.holds(
      "asked the data plane where the control plane says to be",
      controlPlaneRegion !== "",
      `in ${controlPlaneRegion}`,
    );
    const { controlPlaneRegion: own } = await records.listClusters({});
    seen.holds("asked the control plane itself", own === controlPlaneRegion, `in ${own}`);
    seen.none(
      "compared it with where the organization lets its metadata be",
      misplaced(own, metadataRegions),
    );
  },

  async control(subject, seen) {
    const { controlPlaneRegion } = await subject.connection.records.listClusters({});
    return seen.caught(
      "an organization whose metadata may be in eu-pinned-* only, judged in the same way",
      misplaced(controlPlaneRegion, ["eu-pinned-*"]),
      /eu-pinned/,
    );
  },
};

function misplaced(region: string, allowed: readonly string[]): string[] {
  const fits = (pattern: string) =>
    pattern.endsWith("*") ? region.startsWith(pattern.slice(0, -1)) : region === pattern;
  return allowed.length === 0 || allowed.some(fits) ? [] : [`${region} is none of ${allowed.join(", ")}`];
}
