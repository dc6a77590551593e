/** Regions as an operator declares them, and patterns that restrict where something may be: `eu-central-1`, `eu-*`. */
import { BiplaneError } from "./errors.ts";

/** Nothing was declared: one machine, or an operator who has no use for regions. Nothing is demanded of it. */
export const undeclaredRegion = "local";

const regionPattern = /^[a-z0-9][a-z0-9-]{0,62}$/;
const restrictionPattern = /^[a-z0-9][a-z0-9-]{0,62}\*?$/;

export function parseRegion(text: string): string {
  if (regionPattern.test(text)) return text;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(text.slice(0, 80))} can't be a region.`,
    why: "Regions have lower-case letters, digits and hyphens, 63 at most.",
    next: "Use your cloud's own name, as eu-central-1.",
  });
}

export function parseRegionRestriction(text: string): string {
  if (restrictionPattern.test(text)) return text;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(text.slice(0, 80))} can't restrict regions.`,
    why: "It is the name of a region, or its beginning followed by a star.",
    next: "Write eu-central-1, or eu-* for all that begin with eu-.",
  });
}

/** By each of the lists; an empty one allows every region. */
export function isRegionAllowed(region: string, ...lists: readonly (readonly string[])[]): boolean {
  return lists.every((list) => list.length === 0 || list.some((one) => isWithin(region, one)));
}

function isWithin(region: string, restriction: string): boolean {
  return restriction.endsWith("*") ? region.startsWith(restriction.slice(0, -1)) : region === restriction;
}
