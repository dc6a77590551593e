export * from "@flyteorg/flyteidl2/flyteidl2/auth/auth_service_pb.ts";
export * from "@flyteorg/flyteidl2/flyteidl2/auth/identity_pb.ts";
