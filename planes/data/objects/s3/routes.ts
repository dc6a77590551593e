/** Which request is which operation, and what it takes to be allowed it. A request that no row fits is refused. */
import type { Access } from "./access.ts";
import type { Operation } from "./operation.ts";
import * as buckets from "./operations/buckets.ts";
import { listObjects, listObjectsV2 } from "./operations/list-objects.ts";
import * as multipart from "./operations/multipart.ts";
import { getObject, getObjectTagging, headObject } from "./operations/read-objects.ts";
import { copyObject, deleteObject, deleteObjects, putObject } from "./operations/write-objects.ts";
import type { S3Request } from "./request.ts";
import { S3Error } from "./s3-error.ts";

interface Route {
  readonly method: string;
  readonly level: "service" | "bucket" | "object";
  /** Query parameters that must be there. */
  readonly query?: readonly string[];
  readonly header?: string;
  readonly access: Access;
  readonly run: Operation;
}

/** The first row that fits. */
const routes: readonly Route[] = [
  { method: "GET", level: "service", access: "bucket", run: buckets.listBuckets },
  { method: "HEAD", level: "bucket", access: "bucket", run: buckets.headBucket },
  { method: "PUT", level: "bucket", access: "bucket", run: buckets.createBucket },
  { method: "GET", level: "bucket", query: ["location"], access: "bucket", run: buckets.getBucketLocation },
  {
    method: "GET",
    level: "bucket",
    query: ["encryption"],
    access: "bucket",
    run: buckets.getBucketEncryption,
  },
  {
    method: "GET",
    level: "bucket",
    query: ["versioning"],
    access: "bucket",
    run: buckets.getBucketVersioning,
  },
  { method: "GET", level: "bucket", query: ["uploads"], access: "list", run: multipart.listUploads },
  { method: "GET", level: "bucket", query: ["list-type"], access: "list", run: listObjectsV2 },
  { method: "GET", level: "bucket", access: "list", run: listObjects },
  { method: "POST", level: "bucket", query: ["delete"], access: "delete_named", run: deleteObjects },
  { method: "GET", level: "object", query: ["uploadId"], access: "write", run: multipart.listParts },
  { method: "GET", level: "object", query: ["tagging"], access: "read", run: getObjectTagging },
  { method: "GET", level: "object", access: "read", run: getObject },
  { method: "HEAD", level: "object", access: "read", run: headObject },
  {
    method: "PUT",
    level: "object",
    query: ["partNumber", "uploadId"],
    header: "x-amz-copy-source",
    access: "write",
    run: multipart.uploadPartCopy,
  },
  {
    method: "PUT",
    level: "object",
    query: ["partNumber", "uploadId"],
    access: "write",
    run: multipart.uploadPart,
  },
  { method: "PUT", level: "object", header: "x-amz-copy-source", access: "write", run: copyObject },
  { method: "PUT", level: "object", access: "write", run: putObject },
  { method: "POST", level: "object", query: ["uploads"], access: "write", run: multipart.createUpload },
  { method: "POST", level: "object", query: ["uploadId"], access: "write", run: multipart.completeUpload },
  { method: "DELETE", level: "object", query: ["uploadId"], access: "write", run: multipart.abortUpload },
  { method: "DELETE", level: "object", access: "delete", run: deleteObject },
];

/** Parts of S3 that this store does not have; without this list `PUT ?acl` would write an object. */
const missing = new Set(
  (
    "accelerate acl analytics attributes cors intelligent-tiering inventory legal-hold lifecycle logging metrics " +
    "notification object-lock ownershipControls policy policyStatus publicAccessBlock replication requestPayment " +
    "restore retention select torrent versions website versionId"
  ).split(" "),
);

export function findRoute(request: S3Request): Route {
  for (const name of request.parameters.keys()) if (missing.has(name)) throw new S3Error("NotImplemented");
  if (request.parameters.has("tagging") && request.method !== "GET") throw new S3Error("NotImplemented");
  const level = request.key !== undefined ? "object" : request.bucket !== undefined ? "bucket" : "service";
  const found = routes.find(
    (route) =>
      route.method === request.method &&
      route.level === level &&
      (route.query ?? []).every((name) => request.parameters.has(name)) &&
      (route.header === undefined || request.header(route.header) !== undefined),
  );
  if (found === undefined) throw new S3Error("MethodNotAllowed");
  return found;
}
