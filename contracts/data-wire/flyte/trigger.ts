export * from "@flyteorg/flyteidl2/flyteidl2/trigger/trigger_definition_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/trigger/trigger_service_pb.ts";
