/** What a list covers, from what the router authorized. */
import type { Resource } from "@biplane/identity";

export function scopeOf(resource: Resource): { org: string; project?: string; domain?: string } {
  const { org, project, domain } = resource;
  return {
    org,
    ...(project === undefined ? {} : { project }),
    ...(domain === undefined ? {} : { domain }),
  };
}
