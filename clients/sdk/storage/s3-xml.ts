/** The few XML documents of S3 that a client reads. */
import { XMLParser } from "fast-xml-parser";

let parser: XMLParser | undefined;

/** Made when it is first needed: most tasks list nothing. */
function parse(document: string): unknown {
  parser ??= new XMLParser({
    parseTagValue: false,
    isArray: (name) => name === "Contents",
    processEntities: true,
  });
  return parser.parse(document);
}

interface ListingDocument {
  readonly ListBucketResult?: {
    readonly Contents?: readonly { readonly Key?: string; readonly Size?: string }[];
    readonly IsTruncated?: string;
    readonly NextContinuationToken?: string;
  };
}

export interface Listing {
  readonly objects: readonly { readonly key: string; readonly sizeBytes: number }[];
  /** Undefined on the last page. */
  readonly nextToken: string | undefined;
}

export function readListing(document: string): Listing {
  const result = (parse(document) as ListingDocument).ListBucketResult;
  if (result === undefined) throw new Error("The object store's list can't be read.");
  const objects = (result.Contents ?? []).map((entry) => ({
    key: entry.Key ?? "",
    sizeBytes: Number(entry.Size ?? 0),
  }));
  return { objects, nextToken: result.IsTruncated === "true" ? result.NextContinuationToken : undefined };
}

export function readUploadId(document: string): string {
  const parsed = parse(document) as { InitiateMultipartUploadResult?: { UploadId?: string } };
  const id = parsed.InitiateMultipartUploadResult?.UploadId;
  if (id === undefined) throw new Error("The object store's answer names no upload.");
  return id;
}

export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
