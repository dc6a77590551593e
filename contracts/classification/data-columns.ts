/**
 * The register of the data plane's database. What people and programs wrote is sealed, or a keyed hash where rows are found
 * by it; names, times and codes are plain (claims CLS-1, REST-1).
 */
import { type Columns, hashed, plain, type SealedPlace, sealed } from "./columns.ts";
import { migrationColumns } from "./migration-columns.ts";

const org = plain("platform");
const subject = plain("platform");
const name = plain("orchestration");
const digest = plain("orchestration");
const number = plain("orchestration");
const time = plain("orchestration");
const code = plain("orchestration");
const accountTime = plain("platform");
const runKey = { org_id: org, project: name, domain: name, run: name };

const runs = {
  incarnation: { org_id: org, id: plain("platform"), acknowledged: number },
  outbox: { org_id: org, first_sequence: number, last_sequence: number, events: plain("orchestration") },
  document: { org_id: org, project: name, digest, content: sealed("inline_customer") },
  run: {
    org_id: org,
    project: name,
    domain: name,
    name,
    admission: code,
    granted: plain("orchestration"),
    fence: number,
    phase: number,
    document_digest: digest,
    task_spec_digest: digest,
    run_spec_digest: digest,
    task_name: name,
    task_version: name,
    source: number,
    created_by: subject,
    action_concurrency_max: number,
    failure_code: code,
    failure_kind: code,
    run_start_ms: time,
    created_at_ms: time,
    started_at_ms: time,
    ended_at_ms: time,
    updated_at_ms: time,
    repeat_key: digest,
    detail: sealed("inline_customer"),
  },
  action: {
    ...runKey,
    name,
    parent: name,
    kind: number,
    depth: number,
    phase: number,
    task_name: name,
    task_version: name,
    task_type: code,
    spec_digest: digest,
    created_by: subject,
    created_at_ms: time,
    started_at_ms: time,
    ended_at_ms: time,
    updated_at_ms: time,
    not_before_ms: time,
    attempts: plain("orchestration"),
    detail: sealed("inline_customer"),
    outcome: sealed("inline_customer"),
  },
  task: {
    org_id: org,
    project: name,
    domain: name,
    name,
    version: name,
    spec_digest: digest,
    deployed_by: subject,
    deployed_at_ms: time,
    detail: sealed("inline_customer"),
  },
  repeat_key: { ...runKey, key: digest, created_at_ms: time },
  intent_nonce: { ...runKey, nonce: plain("orchestration"), fence: number, expires_at_ms: time },
} as const satisfies Columns;

const identity = {
  identity_subjects: {
    org_id: org,
    subject,
    kind: plain("platform"),
    login_hash: hashed("inline_customer"),
    profile: sealed("inline_customer"),
    credential: sealed("capability"),
    created_at_ms: accountTime,
    disabled_at_ms: accountTime,
    expires_at_ms: accountTime,
    last_used_at_ms: accountTime,
    owner: subject,
    federated_hash: hashed("inline_customer"),
  },
  identity_oidc: {
    org_id: org,
    model: plain("public"),
    id_hash: hashed("capability"),
    payload: sealed("capability"),
    grant_hash: hashed("capability"),
    user_code_hash: hashed("capability"),
    uid_hash: hashed("capability"),
    subject_hash: hashed("platform"),
    expires_at_ms: accountTime,
    consumed_at_ms: accountTime,
  },
  identity_assignments: {
    org_id: org,
    principal_kind: plain("platform"),
    subject,
    role: plain("platform"),
    project_id: name,
    domain_id: name,
  },
  identity_claims: {
    org_id: org,
    claim_hash: hashed("capability"),
    created_at_ms: accountTime,
    redeemed_at_ms: accountTime,
    subject,
  },
  identity_denials: {
    org_id: org,
    kind: plain("platform"),
    name: plain("platform"),
    issued_until_seconds: accountTime,
    expires_at_ms: accountTime,
  },
  project_cache: {
    org_id: org,
    project_id: name,
    index_entry: sealed("orchestration"),
    details: sealed("inline_customer"),
  },
  project_hosts: { org_id: org, project_id: name, hosts: sealed("inline_customer") },
  signed_documents: { org_id: org, kind: plain("platform"), jws: sealed("platform") },
  subject_groups: {
    org_id: org,
    subject,
    groups: sealed("inline_customer"),
    issued_at_seconds: accountTime,
  },
  policy_roles: {
    org_id: org,
    name: plain("platform"),
    permissions: plain("public"),
    created_at_ms: accountTime,
  },
} as const satisfies Columns;

const membership = {
  clusters: {
    org_id: org,
    name: plain("platform"),
    entry: sealed("platform"),
    joined_at_ms: accountTime,
  },
  join_codes: {
    org_id: org,
    code_hash: hashed("capability"),
    cluster: plain("platform"),
    places: sealed("platform"),
    expires_at_ms: accountTime,
    request_hash: plain("platform"),
  },
} as const satisfies Columns;

export const dataColumns = {
  ...migrationColumns,
  ...runs,
  ...identity,
  ...membership,
} as const satisfies Columns;

/** A table of the data plane and one of its encrypted columns. */
export type DataSealedPlace = SealedPlace<typeof dataColumns>;
