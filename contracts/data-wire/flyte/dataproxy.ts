export * from "@flyteorg/flyteidl2/flyteidl2/dataproxy/dataproxy_service_pb.ts";
