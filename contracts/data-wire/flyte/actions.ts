export * from "@flyteorg/flyteidl2/flyteidl2/actions/actions_service_pb.ts";
