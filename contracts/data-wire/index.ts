/** The data wire: Flyte's messages, our supplement to them, and what Flyte lacks. Never linked by the control plane. */

export * as flyte from "./flyte/index.ts";
export * as audit from "./gen/biplane/data/v1/audit_pb.ts";
export * as border from "./gen/biplane/data/v1/border_pb.ts";
export * as children from "./gen/biplane/data/v1/children_pb.ts";
export * as clusters from "./gen/biplane/data/v1/clusters_pb.ts";
export * as document from "./gen/biplane/data/v1/document_pb.ts";
export * as identity from "./gen/biplane/data/v1/identity_pb.ts";
export * as keys from "./gen/biplane/data/v1/keys_pb.ts";
export * as objects from "./gen/biplane/data/v1/objects_pb.ts";
export * as outcome from "./gen/biplane/data/v1/outcome_pb.ts";
export * as policy from "./gen/biplane/data/v1/policy_pb.ts";
export * as progress from "./gen/biplane/data/v1/progress_pb.ts";
export * as records from "./gen/biplane/data/v1/records_pb.ts";
export * as residency from "./gen/biplane/data/v1/residency_pb.ts";
export * as supplement from "./gen/biplane/supplement/v1/supplement_pb.ts";
export * as worker from "./gen/biplane/worker/v1/worker_pb.ts";
export { appendSupplement, readSupplement } from "./supplement.ts";
