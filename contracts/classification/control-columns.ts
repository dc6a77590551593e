/**
 * The register of the control plane's database: the class of each column, how it is kept, and what it may hold. Texts of any
 * other form than these have no place there (claims CLS-1, CLS-2, CLS-6).
 */
import {
  parseActionName,
  parseClusterId,
  parseDomainId,
  parseOrgId,
  parseProjectId,
  parseRunName,
  parseTaskName,
  parseTaskVersion,
} from "@biplane/base";
import { type ValueRule, valueRules } from "@biplane/control-wire";
import { type Columns, plain, sealed } from "./columns.ts";
import { migrationColumns } from "./migration-columns.ts";

const { line, code, subject, digest, nonce, jws, publicKeys } = valueRules;
const org = plain("platform", parsed("an organization", parseOrgId));
const cluster = plain("platform", parsed("a cluster", parseClusterId));
const project = plain("orchestration", parsed("a project", parseProjectId));
const domain = plain("orchestration", parsed("a domain", parseDomainId));
const run = plain("orchestration", parsed("a run's name", parseRunName));
const action = parsed("an action's name", parseActionName);
const taskName = parsed("a task's name", parseTaskName);
const taskVersion = parsed("a task's version", parseTaskVersion);
/** A UUID, or the name that a test or a later version gives. */
const token = matching(/^[A-Za-z0-9._:-]{0,255}$/, "a word of letters, digits, '.', '_', ':', '-'");
const address = matching(/^[^\s\p{Cc}]{0,255}$/u, "an address: no spaces, at most 255 characters");
const time = plain("orchestration");
const number = plain("orchestration");

const outcome = {
  phase: number,
  started_at: time,
  ended_at: time,
  failure_code: plain("orchestration", code),
  failure_kind: number,
};

export const controlColumns = {
  ...migrationColumns,
  organization: {
    org_id: org,
    created_at: plain("platform"),
    root_certificate: plain("platform", bytesUpTo(16_384)),
    metadata_regions: plain("platform", line),
    regions: plain("platform", line),
  },
  enrollment_code: {
    org_id: org,
    proof: plain("platform", digest),
    cluster,
    expires_at: plain("platform"),
    used_at: plain("platform"),
    addresses_sealed: sealed("platform", addresses()),
    root_hash: plain("platform", digest),
  },
  cluster: {
    org_id: org,
    name: cluster,
    region: plain("platform", line),
    software_version: plain("public", line),
    router_address_sealed: sealed("platform", address),
    enrolled_at: plain("platform"),
    last_seen_at: plain("platform"),
    token_keys: plain("platform", publicKeys),
  },
  cluster_certificate: {
    org_id: org,
    cluster,
    fingerprint: plain("platform", digest),
    expires_at: plain("platform"),
  },
  link_cursor: {
    org_id: org,
    cluster,
    incarnation: plain("platform", token),
    cursor: number,
    state: plain("platform", token),
    snapshot: plain("platform", token),
    as_of: time,
  },
  project: {
    org_id: org,
    id: project,
    display_name_sealed: sealed("orchestration", line),
    archived: plain("orchestration"),
    regions: plain("orchestration", line),
    created_at: time,
  },
  task: {
    org_id: org,
    project,
    domain,
    name: plain("orchestration", taskName),
    version: plain("orchestration", taskVersion),
    deployed_at: time,
    deployed_by_sealed: sealed("platform", subject),
    spec_digest: plain("orchestration", digest),
  },
  run: {
    org_id: org,
    project,
    domain,
    name: run,
    cluster,
    document_digest: plain("orchestration", digest),
    task_project: plain("orchestration", orEmpty(project.rule)),
    task_domain: plain("orchestration", orEmpty(domain.rule)),
    task_name: plain("orchestration", orEmpty(taskName)),
    task_version: plain("orchestration", orEmpty(taskVersion)),
    created_by_sealed: sealed("platform", subject),
    created_at: time,
    ...outcome,
    incarnation: plain("platform", token),
    admitted_sequence: number,
    seen_in: plain("platform", token),
    fence: number,
    intent_nonce: plain("orchestration", nonce),
    intent_expires_at: time,
    intent_outcome: number,
  },
  action: {
    org_id: org,
    project,
    domain,
    run,
    name: plain("orchestration", action),
    parent: plain("orchestration", orEmpty(action)),
    kind: number,
    task_name: plain("orchestration", orEmpty(taskName)),
    task_version: plain("orchestration", orEmpty(taskVersion)),
    attempt: number,
    created_at: time,
    ...outcome,
    seen_in: plain("platform", token),
  },
  attempt: {
    org_id: org,
    project,
    domain,
    run,
    action: plain("orchestration", action),
    attempt: number,
    ...outcome,
  },
  refusal: {
    org_id: org,
    cluster,
    incarnation: plain("platform", token),
    sequence: number,
    project,
    domain,
    run,
    outcome: number,
  },
  signed_document: {
    org_id: org,
    kind: plain("platform", token),
    version: plain("platform"),
    expires_at: plain("platform"),
    jws_sealed: sealed("platform", jws),
  },
} as const satisfies Columns;

function parsed(what: string, parse: (value: string) => unknown): ValueRule {
  return { rule: what, holds: (value: string) => succeeds(() => parse(value)) };
}

function orEmpty(rule: ValueRule | undefined): ValueRule {
  return { rule: `${rule?.rule}, or nothing`, holds: (value) => value === "" || rule?.holds(value) === true };
}

function matching(pattern: RegExp, rule: string): ValueRule {
  return { rule, holds: (value: string) => pattern.test(value) };
}

function bytesUpTo(bytesMax: number): ValueRule {
  return { rule: `at most ${bytesMax} bytes`, holds: (value: Uint8Array) => value.length <= bytesMax };
}

/** Addresses of an edge and of its listeners by service, as JSON. */
function addresses(): ValueRule {
  const check = (value: string) => {
    const { edge, public: byService, ...others } = JSON.parse(value) as Record<string, unknown>;
    const all = [edge, ...Object.values(byService as object)];
    if (Object.keys(others).length > 0 || !all.every((one) => address.holds(one as never))) throw new Error();
  };
  return { rule: "addresses by service, as JSON", holds: (value: string) => succeeds(() => check(value)) };
}

function succeeds(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
