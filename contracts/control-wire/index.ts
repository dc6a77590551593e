/** The control wire: the only messages that cross between the planes. Generated from `proto/biplane/control/v1`. */
export * from "./document-kinds.ts";
export * from "./field-class.ts";
export * from "./gen/biplane/classes/v1/classes_pb.ts";
export * from "./gen/biplane/control/v1/audit_pb.ts";
export * from "./gen/biplane/control/v1/enrollment_pb.ts";
export * from "./gen/biplane/control/v1/index_pb.ts";
export * from "./gen/biplane/control/v1/link_pb.ts";
export * from "./gen/biplane/control/v1/types_pb.ts";
export * from "./message-order.ts";
export * from "./phases.ts";
export * from "./unknown-fields.ts";
export * from "./value-rules.ts";
export * from "./versions.ts";
