/** Every table of the data plane's database, for Kysely. Each topic declares its own tables beside its migration. */
import type { ClusterTables } from "./clusters.ts";
import type { IdentityTables } from "./identity.ts";
import type { PolicyTables } from "./policy.ts";
import type { EgressTables } from "./project-hosts.ts";
import type { RunsTables } from "./runs-tables.ts";

export interface DataSchema extends RunsTables, IdentityTables, PolicyTables, ClusterTables, EgressTables {}
