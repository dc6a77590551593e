/** An object's description in HTTP headers: read from an upload, written with a download. */
import type { Description, ObjectEntry } from "../store/entries.ts";
import { checksumHeader } from "./checksums.ts";
import type { S3Request } from "./request.ts";
import type { Headers } from "./respond.ts";
import { S3Error } from "./s3-error.ts";

const metadataPrefix = "x-amz-meta-";
const metadataBytesMax = 2_048;
const headerCharactersMax = 1_024;
/** Kept with the object and given back. */
const keptHeaders = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
] as const;

/** Features that would change what the store promises, and the values that ask for nothing. */
const refusedHeaders: readonly {
  name: string;
  unless: readonly string[];
  code: "NotImplemented" | "InvalidStorageClass";
}[] = [
  { name: "x-amz-server-side-encryption", unless: ["AES256"], code: "NotImplemented" },
  { name: "x-amz-server-side-encryption-customer-algorithm", unless: [], code: "NotImplemented" },
  { name: "x-amz-storage-class", unless: ["STANDARD"], code: "InvalidStorageClass" },
  { name: "x-amz-acl", unless: ["private", "bucket-owner-full-control"], code: "NotImplemented" },
  { name: "x-amz-tagging", unless: [""], code: "NotImplemented" },
  { name: "x-amz-website-redirect-location", unless: [], code: "NotImplemented" },
  { name: "x-amz-object-lock-mode", unless: [], code: "NotImplemented" },
];

export function readDescription(request: S3Request): Description {
  for (const { name, unless, code } of refusedHeaders) {
    const value = request.header(name);
    if (value !== undefined && !unless.includes(value)) throw new S3Error(code);
  }
  const metadata: Record<string, string> = {};
  let bytes = 0;
  for (const name of Object.keys(request.stream.headers)) {
    if (!name.startsWith(metadataPrefix)) continue;
    const value = request.header(name) ?? "";
    metadata[name.slice(metadataPrefix.length)] = value;
    bytes += name.length - metadataPrefix.length + value.length;
  }
  if (bytes > metadataBytesMax) throw new S3Error("MetadataTooLarge");
  const contentType = shortHeader(request, "content-type") ?? "binary/octet-stream";
  return { contentType, metadata, headers: readKeptHeaders(request) };
}

function readKeptHeaders(request: S3Request): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of keptHeaders) {
    // `aws-chunked` is how the upload came, not what the object is.
    const value = shortHeader(request, name)
      ?.replace(/(^|,)\s*aws-chunked\s*(,|$)/, "$2")
      .replace(/^,\s*/, "");
    if (value !== undefined && value !== "") headers[name] = value;
  }
  return headers;
}

/** The headers of a whole object; a range adds its own. */
export function describe(request: S3Request, entry: ObjectEntry): Headers {
  const headers: Record<string, string | number> = {
    "accept-ranges": "bytes",
    "content-type": entry.contentType,
    "content-length": entry.sizeBytes,
    etag: `"${entry.etag}"`,
    "last-modified": new Date(entry.modifiedAtMs).toUTCString(),
    "x-amz-server-side-encryption": "AES256",
    ...entry.headers,
  };
  for (const [name, value] of Object.entries(entry.metadata)) headers[metadataPrefix + name] = value;
  for (const name of ["content-type", ...keptHeaders]) {
    const override = request.parameters.get(`response-${name}`);
    if (override !== undefined) headers[name] = cleanHeader(override);
  }
  const { checksum } = entry;
  if (checksum !== undefined && request.header("x-amz-checksum-mode")?.toUpperCase() === "ENABLED") {
    headers[checksumHeader(checksum.algorithm)] = checksum.value;
    headers["x-amz-checksum-type"] = checksum.type;
  }
  headers["content-disposition"] = disposition(request, entry);
  return headers;
}

/** Downloads, unless whoever signed the request asked for it to be shown: what is stored must not run as our page. */
function disposition(request: S3Request, entry: ObjectEntry): string {
  const signed = request.parameters.get("response-content-disposition");
  if (signed !== undefined) return cleanHeader(signed);
  const stored = entry.headers["content-disposition"];
  return stored !== undefined && /^attachment\b/i.test(stored) ? stored : "attachment";
}

function shortHeader(request: S3Request, name: string): string | undefined {
  const value = request.header(name);
  if (value !== undefined && value.length > headerCharactersMax) {
    throw new S3Error(
      "InvalidArgument",
      `The ${name} header is longer than ${headerCharactersMax} characters.`,
    );
  }
  return value;
}

/** A value from the query may hold what a header must not. */
function cleanHeader(value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value;
  throw new S3Error("InvalidArgument", "A response header may hold printable ASCII characters only.");
}
