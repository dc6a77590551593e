/** A request to the object server, taken apart once. */
import type { HttpRequest } from "@biplane/kit";
import { S3Error } from "./s3-error.ts";

export interface S3Request {
  readonly method: string;
  /** As sent, for the signature. */
  readonly rawPath: string;
  readonly host: string;
  /** Undefined for the service itself. */
  readonly bucket: string | undefined;
  /** Undefined for the bucket itself. */
  readonly key: string | undefined;
  readonly query: readonly (readonly [string, string])[];
  /** First value of each name. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly stream: HttpRequest;
  header(name: string): string | undefined;
}

export function parseRequest(stream: HttpRequest, ownBucket: string): S3Request {
  const url = stream.url ?? "/";
  const mark = url.indexOf("?");
  const rawPath = mark < 0 ? url : url.slice(0, mark);
  const query = mark < 0 ? [] : parseQuery(url.slice(mark + 1));
  const headers = stream.headers;
  const header = (name: string) => {
    const value = headers[name];
    return typeof value === "string" ? value : Array.isArray(value) ? value.join(",") : undefined;
  };
  const host = header(":authority") ?? header("host") ?? "";
  const parameters = new Map<string, string>();
  for (const [name, value] of query) if (!parameters.has(name)) parameters.set(name, value);
  const method = stream.method ?? "GET";
  return { method, rawPath, host, ...splitPath(rawPath, host, ownBucket), query, parameters, stream, header };
}

/** Path style (`/bucket/key`), or virtual-host style where the host begins with the bucket's name. */
function splitPath(rawPath: string, host: string, ownBucket: string): Pick<S3Request, "bucket" | "key"> {
  const path = decodePath(rawPath.slice(1));
  if (host.startsWith(`${ownBucket}.`)) return { bucket: ownBucket, key: path === "" ? undefined : path };
  const slash = path.indexOf("/");
  const bucket = slash < 0 ? path : path.slice(0, slash);
  const key = slash < 0 ? "" : path.slice(slash + 1);
  return { bucket: bucket === "" ? undefined : bucket, key: key === "" ? undefined : key };
}

function parseQuery(query: string): (readonly [string, string])[] {
  if (query === "") return [];
  return query.split("&").map((pair) => {
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    return [decodePath(name.replaceAll("+", " ")), decodePath(value.replaceAll("+", " "))] as const;
  });
}

export function decodePath(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error("InvalidArgument", "The URL's percent-encoding is not valid UTF-8.");
  }
}
