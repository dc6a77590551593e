export * from "@flyteorg/flyteidl2/flyteidl2/common/identifier_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/common/identity_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/common/list_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/common/phase_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/common/run_pb.ts";
