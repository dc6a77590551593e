/**
 * What only the customer's own operator knows, read with the data plane's keys from its state folder: the object store's
 * credentials, which no plane but this one may hold. A marked use of the plane's internals, for searches and for asking
 * the store what it says of itself.
 */
import { systemClock } from "@biplane/kit/clock";
import { readKeyFile } from "@biplane/kit/crypto";
import { KnownServers, PinnedHttp, type Profile } from "@biplane/sdk/remote";
import { AwsV4Signer } from "aws4fetch";
import { CredentialStore } from "../../planes/data/objects/s3/credentials.ts";
import { statePaths } from "../../planes/data/state.ts";

export interface OperatorCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export async function storeCredentials(dataState: string): Promise<OperatorCredentials> {
  const store = new CredentialStore(await readKeyFile(statePaths(dataState).systemKey), systemClock);
  return { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey.reveal() };
}

/** One signed S3 request, as any S3 client sends it. */
export async function askStore(
  profile: Profile,
  credentials: OperatorCredentials,
  method: "GET" | "DELETE",
  pathAndQuery: string,
): Promise<{ status: number; text: string; bytes: Buffer }> {
  const url = `${profile.objects}${pathAndQuery}`;
  const signed = await new AwsV4Signer({
    method,
    url,
    service: "s3",
    region: profile.region,
    ...credentials,
  }).sign();
  const http = new PinnedHttp(new KnownServers(profile));
  try {
    const headers = Object.fromEntries(signed.headers.entries());
    const response = await http.send(signed.url.toString(), { method, headers });
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    return { status: response.status, text: bytes.toString("utf8"), bytes };
  } finally {
    http.close();
  }
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** All of a prefix, page by page. */
export async function listStore(
  profile: Profile,
  credentials: OperatorCredentials,
  prefix: string,
): Promise<ListedObject[]> {
  const found: ListedObject[] = [];
  for (let token = ""; ; ) {
    const page = token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`;
    const query = `?list-type=2&prefix=${encodeURIComponent(prefix)}${page}`;
    const { text } = await askStore(profile, credentials, "GET", `/${profile.bucket}${query}`);
    for (const [, entry = ""] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
      const of = (tag: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(entry)?.[1] ?? "";
      const modifiedAtMs = Date.parse(of("LastModified"));
      found.push({ key: of("Key"), sizeBytes: Number(of("Size")), modifiedAtMs });
    }
    token = /<NextContinuationToken>([^<]+)</.exec(text)?.[1] ?? "";
    if (token === "") return found;
  }
}
