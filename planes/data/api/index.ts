/** Every service of the router: Flyte's where one exists, Biplane's own for the rest. */
import type { ServedService } from "../router/router.ts";
import { actionsService } from "./actions.ts";
import { auditService } from "./audit.ts";
import { authMetadataService } from "./auth-metadata.ts";
import { childrenService } from "./children.ts";
import { dataProxyService } from "./data-proxy.ts";
import { clusterService, identityService } from "./identity.ts";
import { keysService } from "./keys.ts";
import { membershipService } from "./membership.ts";
import { objectsService } from "./objects.ts";
import type { ApiParts } from "./parts.ts";
import { policyService } from "./policy.ts";
import { projectService } from "./projects.ts";
import { borderService, progressService, recordsService } from "./records.ts";
import { residencyService } from "./residency.ts";
import { runService } from "./runs.ts";
import { taskService } from "./tasks.ts";
import { apiKeyService, authorityService, userService } from "./users.ts";

export function createServices(parts: ApiParts): ServedService[] {
  return [
    authMetadataService(parts),
    identityService(),
    clusterService(parts),
    projectService(parts),
    taskService(parts),
    runService(parts),
    dataProxyService(parts),
    actionsService(parts),
    childrenService(parts),
    recordsService(parts),
    borderService(parts),
    auditService(parts),
    progressService(parts),
    objectsService(parts),
    keysService(parts),
    residencyService(parts),
    userService(parts),
    apiKeyService(parts),
    authorityService(parts),
    membershipService(parts),
    policyService(parts),
  ];
}
