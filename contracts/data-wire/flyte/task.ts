export * from "@flyteorg/flyteidl2/flyteidl2/task/common_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/task/environment_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/task/run_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/task/task_definition_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/task/task_service_pb.ts";
