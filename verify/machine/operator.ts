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
): Promise<{ status: number; text: string }> {
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
    return { status: response.status, text: await http.text(response) };
  } finally {
    http.close();
  }
}
