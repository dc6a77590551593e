export * from "@flyteorg/flyteidl2/flyteidl2/logs/dataplane/payload_pb.ts";
