export * from "@flyteorg/flyteidl2/flyteidl2/cluster/payload_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/cluster/service_pb.ts";
