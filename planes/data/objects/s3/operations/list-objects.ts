/** ListObjectsV2, and the first version for clients that still ask for it. */
import type { ObjectEntry } from "../../store/entries.ts";
import { type ListPage, type ListPlace, listObjects as listPage } from "../../store/listing.ts";
import type { Operation, OperationContext } from "../operation.ts";
import { sendXml } from "../respond.ts";
import { S3Error } from "../s3-error.ts";
import { encodePath } from "../signature.ts";
import type { Xml } from "../xml.ts";

const keysMax = 1_000;

export const listObjectsV2: Operation = (context) => {
  const { parameters } = context.request;
  const token = parameters.get("continuation-token");
  const startAfter = parameters.get("start-after");
  const after = token === undefined ? placeOfKey(startAfter) : parseToken(token);
  const { page, shared, encode } = list(context, after);
  const own: (Xml | undefined)[] = [
    ["KeyCount", page.entries.length + page.prefixes.length],
    token === undefined ? undefined : ["ContinuationToken", token],
    startAfter === undefined ? undefined : ["StartAfter", encode(startAfter)],
    page.next === undefined ? undefined : ["NextContinuationToken", formatToken(page.next)],
  ];
  sendXml(context.response, ["ListBucketResult", [...shared, ...own]]);
};

export const listObjects: Operation = (context) => {
  const marker = context.request.parameters.get("marker") ?? "";
  const delimiter = context.request.parameters.get("delimiter");
  // A marker that ends with the delimiter is a prefix the client was given: it wants what comes behind it.
  const isPrefix = delimiter !== undefined && delimiter !== "" && marker.endsWith(delimiter);
  const after = isPrefix ? ({ kind: "prefix", value: marker } as const) : placeOfKey(marker);
  const { page, shared, encode } = list(context, after);
  const own: (Xml | undefined)[] = [
    ["Marker", encode(marker)],
    page.next === undefined ? undefined : ["NextMarker", encode(page.next.value)],
  ];
  sendXml(context.response, ["ListBucketResult", [...shared, ...own]]);
};

function list(context: OperationContext, after: ListPlace | undefined) {
  const { parameters } = context.request;
  const prefix = parameters.get("prefix") ?? "";
  const delimiter = parameters.get("delimiter");
  const limit = parseLimit(parameters.get("max-keys"));
  const page = listPage(context.catalog, {
    prefix,
    limit,
    ...(delimiter === undefined ? {} : { delimiter }),
    ...(after === undefined ? {} : { after }),
  });
  const encode = encoder(parameters.get("encoding-type"));
  return { page, encode, shared: describePage(context, page, { prefix, delimiter, limit }, encode) };
}

function describePage(
  context: OperationContext,
  page: ListPage,
  query: { prefix: string; delimiter: string | undefined; limit: number },
  encode: (text: string) => string,
): (Xml | undefined)[] {
  const { parameters } = context.request;
  return [
    ["Name", context.bucket],
    ["Prefix", encode(query.prefix)],
    query.delimiter === undefined ? undefined : ["Delimiter", encode(query.delimiter)],
    ["MaxKeys", query.limit],
    parameters.has("encoding-type") ? ["EncodingType", "url"] : undefined,
    ["IsTruncated", page.next !== undefined],
    ...page.entries.map((entry) => describeEntry(entry, encode)),
    ...page.prefixes.map((prefix): Xml => ["CommonPrefixes", [["Prefix", encode(prefix)]]]),
  ];
}

function describeEntry(entry: ObjectEntry, encode: (text: string) => string): Xml {
  return [
    "Contents",
    [
      ["Key", encode(entry.key)],
      ["LastModified", new Date(entry.modifiedAtMs).toISOString()],
      ["ETag", `"${entry.etag}"`],
      ["Size", entry.sizeBytes],
      ["StorageClass", "STANDARD"],
    ],
  ];
}

/** Keys that XML can't carry are why clients ask for URL encoding. */
function encoder(type: string | undefined): (text: string) => string {
  if (type === undefined) return (text) => text;
  if (type !== "url") throw new S3Error("InvalidArgument", "encoding-type can only be 'url'.");
  return encodePath;
}

export function parseLimit(text: string | undefined): number {
  if (text === undefined) return keysMax;
  if (!/^\d{1,9}$/.test(text)) throw new S3Error("InvalidArgument", "The maximum is not a number.");
  return Math.min(Number(text), keysMax);
}

function placeOfKey(key: string | undefined): ListPlace | undefined {
  return key === undefined || key === "" ? undefined : { kind: "key", value: key };
}

function formatToken({ kind, value }: ListPlace): string {
  return Buffer.from(JSON.stringify([kind, value])).toString("base64url");
}

function parseToken(token: string): ListPlace {
  try {
    const [kind, value] = JSON.parse(Buffer.from(token, "base64url").toString()) as unknown[];
    if ((kind === "key" || kind === "prefix") && typeof value === "string" && value !== "")
      return { kind, value };
  } catch {
    // Falls through to the refusal.
  }
  throw new S3Error("InvalidArgument", "The continuation token is not one of this store's.");
}
