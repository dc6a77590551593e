/** The one list of migrations of the data plane's database. Names order them; a released one never changes. */
import { createRoleIfAbsent, type MigrationSet } from "@biplane/kit/database";
import { clustersMigration } from "./clusters.ts";
import { identityMigration } from "./identity.ts";
import { peopleMigration } from "./people.ts";
import { policyMigration, subjectGroupsMigration } from "./policy.ts";
import { projectHostsMigration } from "./project-hosts.ts";
import { createRunsTables } from "./runs-tables.ts";

/** Owns nothing; row-level security binds it. */
export const applicationRole = "biplane_data";

export const dataMigrations: MigrationSet = {
  applicationRole,
  migrations: {
    "0000-role": { up: (kysely) => createRoleIfAbsent(kysely, applicationRole) },
    "0001-runs": { up: (kysely) => createRunsTables(kysely, applicationRole) },
    "0002-identity": identityMigration(applicationRole),
    "0003-people": peopleMigration(applicationRole),
    "0004-policy": policyMigration(applicationRole),
    "0005-clusters": clustersMigration(applicationRole),
    "0006-subject-groups": subjectGroupsMigration(applicationRole),
    "0007-project-hosts": projectHostsMigration(applicationRole),
  },
};
