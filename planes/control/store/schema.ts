/**
 * The index's tables. Every one begins with `org_id` and stands under row-level security; columns named `*_sealed` are
 * encrypted and bound to their row. Times are milliseconds since 1970, phases the numbers of the wire.
 */
import type { ColumnType } from "kysely";

type Bytes = Uint8Array;
/** Given once, when the row is made. */
type Fixed<T> = ColumnType<T, T, never>;

export interface OrganizationTable {
  org_id: Fixed<string>;
  created_at: Fixed<number>;
  /** DER of the organization's root, pinned at the first enrollment. */
  root_certificate: Bytes | null;
  /** Where its metadata may be, as `eu-*`, parted by spaces; null: anywhere. */
  metadata_regions: string | null;
  /** Where runs of all of its projects may be, as `eu-*`, parted by spaces; empty: anywhere. */
  regions: ColumnType<string, string | undefined, string>;
}

export interface EnrollmentCodeTable {
  org_id: Fixed<string>;
  /** SHA-256 of the secret; the secret itself is never stored. */
  proof: Fixed<Bytes>;
  cluster: Fixed<string>;
  expires_at: Fixed<number>;
  used_at: number | null;
  /** JSON: where the cluster's edge and public listeners are. */
  addresses_sealed: Fixed<Bytes>;
  /** SHA-256 of the only root that it may pin; null: any. */
  root_hash: Fixed<Bytes | null>;
}

export interface ClusterTable {
  org_id: Fixed<string>;
  name: Fixed<string>;
  region: string;
  software_version: string;
  router_address_sealed: Bytes | null;
  enrolled_at: number;
  last_seen_at: number | null;
  /** Public keys of the control tokens that this cluster shows; null before its enrollment. */
  token_keys: string | null;
}

export interface ClusterCertificateTable {
  org_id: Fixed<string>;
  cluster: Fixed<string>;
  fingerprint: Fixed<Bytes>;
  expires_at: Fixed<number>;
}

/** How far each incarnation of a cluster's state was applied (rule of state 8). */
export interface LinkCursorTable {
  org_id: Fixed<string>;
  cluster: Fixed<string>;
  incarnation: Fixed<string>;
  cursor: number;
  /** `wanted`: unknown until its snapshot begins; `open`: inside it; `current`; `superseded` by a newer one. */
  state: "wanted" | "open" | "current" | "superseded";
  /** Names the newest snapshot; rows carry it as `seen_in`, so that what a snapshot lacks can be told. */
  snapshot: string;
  /** Time of the newest event applied. */
  as_of: number | null;
}

export interface ProjectTable {
  org_id: Fixed<string>;
  id: Fixed<string>;
  display_name_sealed: Bytes;
  archived: boolean;
  /** Where its runs may be, as `eu-*`, parted by spaces; empty: anywhere. */
  regions: string;
  created_at: Fixed<number>;
}

export interface TaskTable {
  org_id: Fixed<string>;
  project: Fixed<string>;
  domain: Fixed<string>;
  name: Fixed<string>;
  version: Fixed<string>;
  deployed_at: number;
  deployed_by_sealed: Bytes;
  spec_digest: Bytes;
}

export interface RunTable {
  org_id: Fixed<string>;
  project: Fixed<string>;
  domain: Fixed<string>;
  name: Fixed<string>;
  cluster: string;
  document_digest: Bytes;
  task_project: string;
  task_domain: string;
  task_name: string;
  task_version: string;
  created_by_sealed: Bytes;
  phase: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  failure_code: string;
  failure_kind: number;
  /** The event that asked for admission, so that an answer lost in a cut can be given again. */
  incarnation: string;
  admitted_sequence: number;
  seen_in: string;
  /** Null: no intent is due. Otherwise the newest fence, and below it what is known of its intent. */
  fence: number | null;
  intent_nonce: Bytes | null;
  intent_expires_at: number | null;
  intent_outcome: number | null;
}

export interface ActionTable {
  org_id: Fixed<string>;
  project: Fixed<string>;
  domain: Fixed<string>;
  run: Fixed<string>;
  name: Fixed<string>;
  parent: string;
  kind: number;
  task_name: string;
  task_version: string;
  phase: number;
  attempt: number;
  created_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  failure_code: string;
  failure_kind: number;
  seen_in: string;
}

export interface AttemptTable {
  org_id: Fixed<string>;
  project: Fixed<string>;
  domain: Fixed<string>;
  run: Fixed<string>;
  action: Fixed<string>;
  attempt: Fixed<number>;
  phase: number;
  started_at: number | null;
  ended_at: number | null;
  failure_code: string;
  failure_kind: number;
}

/** Refused admissions, kept until the data plane is known to have them. */
export interface RefusalTable {
  org_id: Fixed<string>;
  cluster: Fixed<string>;
  incarnation: Fixed<string>;
  sequence: Fixed<number>;
  project: Fixed<string>;
  domain: Fixed<string>;
  run: Fixed<string>;
  outcome: Fixed<number>;
}

/** The newest of each kind that the organization's authority signed. */
export interface SignedDocumentTable {
  org_id: Fixed<string>;
  kind: Fixed<"policy" | "clusters">;
  version: number;
  expires_at: number;
  jws_sealed: Bytes;
}

export interface ControlSchema {
  signed_document: SignedDocumentTable;
  organization: OrganizationTable;
  enrollment_code: EnrollmentCodeTable;
  cluster: ClusterTable;
  cluster_certificate: ClusterCertificateTable;
  link_cursor: LinkCursorTable;
  project: ProjectTable;
  task: TaskTable;
  run: RunTable;
  action: ActionTable;
  attempt: AttemptTable;
  refusal: RefusalTable;
}
