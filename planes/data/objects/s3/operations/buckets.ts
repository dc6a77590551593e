/** Operations on the one bucket and on the service. */
import type { Operation } from "../operation.ts";
import { sendEmpty, sendXml } from "../respond.ts";
import { S3Error } from "../s3-error.ts";
import type { Xml } from "../xml.ts";

/** The bucket is as old as its store; clients only want some date. */
const createdAt = "2026-01-01T00:00:00.000Z";

export const listBuckets: Operation = ({ response, bucket }) => {
  const owner: Xml = [
    "Owner",
    [
      ["ID", "biplane"],
      ["DisplayName", "biplane"],
    ],
  ];
  const only: Xml = [
    "Bucket",
    [
      ["Name", bucket],
      ["CreationDate", createdAt],
    ],
  ];
  sendXml(response, ["ListAllMyBucketsResult", [owner, ["Buckets", [only]]]]);
};

export const headBucket: Operation = ({ response, region }) => {
  sendEmpty(response, 200, { "x-amz-bucket-region": region });
};

/** S3 says nothing for its oldest region. */
export const getBucketLocation: Operation = ({ response, region }) => {
  sendXml(response, ["LocationConstraint", region === "us-east-1" ? "" : region]);
};

/** Always on, and not to be switched off (claim REST-1). */
export const getBucketEncryption: Operation = ({ response }) => {
  const byDefault: Xml = ["ApplyServerSideEncryptionByDefault", [["SSEAlgorithm", "AES256"]]];
  const rule: Xml = ["Rule", [byDefault, ["BucketKeyEnabled", false]]];
  sendXml(response, ["ServerSideEncryptionConfiguration", [rule]]);
};

export const getBucketVersioning: Operation = ({ response }) => {
  sendXml(response, ["VersioningConfiguration", []]);
};

export const createBucket: Operation = () => {
  throw new S3Error("BucketAlreadyOwnedByYou");
};
