export * from "@flyteorg/flyteidl2/flyteidl2/project/project_service_pb.ts";
