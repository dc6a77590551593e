export * from "@flyteorg/flyteidl2/flyteidl2/workflow/run_definition_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/workflow/run_service_pb.ts";
