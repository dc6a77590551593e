export * from "@flyteorg/flyteidl2/flyteidl2/core/catalog_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/execution_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/identifier_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/interface_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/literals_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/security_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/tasks_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/core/types_pb.ts";
