/** RES-1: all stores of a data plane are in the region that its operator declared. */
import type { residency } from "@biplane/data-wire";
import type { Claim } from "../frame/claim.ts";

export const res1: Claim = {
  id: "RES-1",
  text: "All stores of a data plane are in the region its operator declared.",
  from: "client",

  async prove(subject, seen) {
    const { region, backends } = await subject.connection.residency.getRegions({});
    seen.holds(
      "had the data plane ask each of its backends for its region",
      backends.length > 0,
      backends.map(({ backend, region: where }) => `${backend}: ${where}`).join(", "),
    );
    seen.none(`compared them with the declared region ${region}`, elsewhere(region, backends));
  },

  async control(subject, seen) {
    const { region, backends } = await subject.connection.residency.getRegions({});
    const moved = backends.map((one, at) =>
      at === 0 ? { ...one, region: "elsewhere-1", agrees: false } : one,
    );
    return seen.caught(
      "one backend in another region, judged in the same way",
      elsewhere(region, moved),
      /elsewhere-1/,
    );
  },
};

type Backend = Pick<residency.GetRegionsResponse["backends"][number], "backend" | "region" | "agrees">;

function elsewhere(declared: string, backends: readonly Backend[]): string[] {
  return backends
    .filter(({ region, agrees }) => !agrees || (region !== "" && region !== declared))
    .map(({ backend, region }) => `${backend} is in ${region}, and ${declared} is declared`);
}
