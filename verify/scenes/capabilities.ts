/** What grants by possession, as far as verify has it itself: tokens, credentials, signatures of presigned URLs. */
import { flyte } from "@biplane/data-wire";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote";
import { storeCredentials } from "../machine/operator.ts";
import type { Needle } from "../search/needles.ts";

/** The signature of a URL that was issued just now, and used. */
export async function linkSignature(client: RemoteClient, run: RemoteRun): Promise<Needle> {
  const { data, http } = client.connection;
  const { preSignedUrls } = await data.createDownloadLink({
    artifactType: flyte.dataproxy.ArtifactType.REPORT,
    source: { case: "actionAttemptId", value: { actionId: { run: run.id, name: "a0" }, attempt: 1 } },
  });
  const url = preSignedUrls?.signedUrl[0] ?? "";
  await http.text(await http.send(url, { method: "GET" }));
  return {
    name: "a presigned URL's signature",
    text: new URL(url).searchParams.get("X-Amz-Signature") ?? "",
  };
}

export async function capabilitiesOf(
  client: RemoteClient,
  run: RemoteRun,
  dataState: string,
): Promise<Needle[]> {
  const token = await client.connection.tokens.token(false);
  const { secretAccessKey } = await storeCredentials(dataState);
  return [
    { name: "an access token", text: token.split(".").at(-1) ?? "" },
    { name: "the object store's secret key", text: secretAccessKey },
    await linkSignature(client, run),
  ];
}
