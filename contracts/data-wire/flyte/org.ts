export * from "@flyteorg/flyteidl2/flyteidl2/org/domain_service_pb.ts";
