/** S3's error codes (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), as far as they occur here. */
import { isBiplaneError } from "@biplane/base";

/** Code → status and the message given where the place of the error has none of its own. */
const errors = {
  AccessDenied: [403, "Access Denied"],
  AuthorizationHeaderMalformed: [400, "The authorization header is malformed."],
  BadDigest: [400, "The checksum you specified did not match what was received."],
  BucketAlreadyOwnedByYou: [409, "The bucket is there already, and it is yours."],
  ConditionalRequestConflict: [409, "There is an object of this key already, with other bytes."],
  EntityTooLarge: [400, "The upload is larger than the largest object allowed."],
  EntityTooSmall: [400, "A part is smaller than the smallest allowed."],
  ExpiredToken: [400, "The provided token has expired."],
  IncompleteBody: [400, "Fewer or more bytes came than Content-Length announced."],
  InsufficientStorage: [507, "The object store's disk is full; nothing was stored."],
  InternalError: [500, "An internal error occurred. Try again."],
  InvalidAccessKeyId: [403, "The access key id is not known here."],
  InvalidArgument: [400, "Invalid argument."],
  InvalidDigest: [400, "The Content-MD5 or checksum is not a valid one."],
  InvalidPart: [400, "A named part was not uploaded with this ETag."],
  InvalidPartOrder: [400, "The parts are not in ascending order."],
  InvalidRange: [416, "The requested range is not satisfiable."],
  InvalidRequest: [400, "Invalid request."],
  InvalidStorageClass: [400, "The storage class is not one of this store's: STANDARD."],
  InvalidToken: [400, "The session token is not valid."],
  KeyTooLongError: [400, "The key is longer than 1,024 bytes."],
  "KMS.DisabledException": [400, "The key that protects this object is disabled."],
  MalformedXML: [400, "The XML is not well-formed, or not what this operation takes."],
  MetadataTooLarge: [400, "The metadata headers are larger than 2 KiB."],
  MethodNotAllowed: [405, "The method is not allowed here."],
  MissingContentLength: [411, "The Content-Length header is missing."],
  NoSuchBucket: [404, "The bucket does not exist."],
  NoSuchKey: [404, "The key does not exist."],
  NoSuchUpload: [404, "The multipart upload does not exist; it may have been completed or aborted."],
  NotImplemented: [501, "This store does not implement that."],
  PreconditionFailed: [412, "A precondition of the request does not hold."],
  RequestTimeTooSkewed: [403, "The request's time differs too much from the store's."],
  SignatureDoesNotMatch: [403, "The signature is not the one that the store calculates."],
  SlowDown: [503, "The store is busy. Try again in a moment."],
  XAmzContentSHA256Mismatch: [400, "The content's SHA-256 is not the one that was signed."],
} as const satisfies Record<string, readonly [number, string]>;

export type S3ErrorCode = keyof typeof errors;

export class S3Error extends Error {
  override readonly name = "S3Error";
  readonly code: S3ErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: S3ErrorCode, message?: string, headers: Readonly<Record<string, string>> = {}) {
    super(message ?? errors[code][1]);
    this.code = code;
    this.status = errors[code][0];
    this.headers = headers;
  }
}

/** The store's own reasons in S3's words. */
const codesByReason: Readonly<Record<string, S3ErrorCode>> = {
  disk_full: "InsufficientStorage",
  entity_too_small: "EntityTooSmall",
  invalid_key: "InvalidArgument",
  invalid_part: "InvalidPart",
  invalid_part_order: "InvalidPartOrder",
  key_disabled: "KMS.DisabledException",
  key_too_long: "KeyTooLongError",
  malformed: "MalformedXML",
  no_such_upload: "NoSuchUpload",
  object_exists: "PreconditionFailed",
  slow_down: "SlowDown",
  write_once: "ConditionalRequestConflict",
};

/** Undefined where the error is not meant for the client: then it is an internal one, and only logged. */
export function asS3Error(error: unknown): S3Error | undefined {
  if (error instanceof S3Error) return error;
  if (!isBiplaneError(error)) return undefined;
  const code = codesByReason[error.reason ?? ""];
  return code === undefined ? undefined : new S3Error(code, error.message);
}
