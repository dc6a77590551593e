/** Where this cluster keeps what it holds, and whom it talks to (claims RES-1, RES-3, RES-4). */
import { parseProjectId, parseRegionRestriction } from "@biplane/base";
import { residency } from "@biplane/data-wire";
import type { HandlerContext } from "@connectrpc/connect";
import { formatAllowedHost } from "../egress/allowed-hosts.ts";
import type { RegionSource } from "../residency/regions.ts";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import type { ApiParts } from "./parts.ts";
import { allProjects, passErrors } from "./projects.ts";

const sources: Readonly<Record<RegionSource, residency.RegionSource>> = {
  beside: residency.RegionSource.BESIDE,
  asked: residency.RegionSource.ASKED,
  declared: residency.RegionSource.DECLARED,
};

export function residencyService(given: ApiParts) {
  const { cluster, residency: parts, projects, controlPlane } = given;
  /** A mistyped name would allow hosts to a project that somebody makes later. */
  const requireProject = async (id: string, context: HandlerContext): Promise<void> => {
    await passErrors(controlPlane.index(authorizedCall(context).principal).getProject({ id }));
  };
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
      organizationRegions: [...(projects.entries()[0]?.organizationRegions ?? [])],
      projects: projects
        .entries()
        .filter(({ regions }) => regions.length > 0)
        .map(({ id, regions }) => ({ project: id, regions: [...regions] })),
    }),
    restrictProject: async (request, context) => {
      const index = controlPlane.index(authorizedCall(context).principal);
      const regions = { regions: request.regions.map(parseRegionRestriction) };
      const id = parseProjectId(request.project);
      const { project } = await passErrors(index.updateProject({ id, regions }));
      if (project !== undefined) await projects.remember([project]);
      return {};
    },
    restrictOrganization: async (request, context) => {
      const call = authorizedCall(context);
      const regions = { regions: request.regions.map(parseRegionRestriction) };
      await passErrors(controlPlane.index(call.principal).updateOrganization({ regions }));
      // Each project says it: from now on this cluster refuses runs before it stores anything of them.
      await allProjects(given, call);
      return {};
    },
    changeProjectHosts: async ({ project, allow, withdraw }, context) => {
      const id = parseProjectId(project);
      if (projects.entry(id) === undefined) await requireProject(id, context);
      const hosts = await parts.projectHosts.change(id, { allow, withdraw });
      return { hosts: hosts.map(formatAllowedHost) };
    },
    listDestinations: () => ({
      destinations: parts.destinations().map((one) => ({ ...one })),
      tasks: parts.projectHosts
        .all()
        .filter(({ hosts }) => hosts.length > 0)
        .map(({ project, hosts }) => ({ project, hosts: hosts.map(formatAllowedHost) })),
    }),
  });
}
