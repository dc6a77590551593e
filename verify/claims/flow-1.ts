/** FLOW-1: bulk data moves between client and object store alone, by URLs that the data plane signs. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "@biplane/base";
import { flyte } from "@biplane/data-wire";
import { Dir, File } from "@biplane/sdk";
import { placeRun } from "@biplane/sdk/remote";
import { Uploader } from "@biplane/sdk/remote/upload";
import type { Claim } from "../frame/claim.ts";
import { ClaimFailed, type Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { copyFolder } from "../machine/freeze.ts";
import { storeCredentials } from "../machine/operator.ts";
import { bytesMoved } from "../machine/process-io.ts";
import { workflowFile } from "../machine/sources.ts";
import { requireRoot } from "../machine/tools.ts";
import { Needles } from "../search/needles.ts";
import { describeFinding, searchFiles, searchProcess } from "../search/places.ts";
import { fetchLink } from "../wire/links.ts";

const bulkBytes = 24 * MiB;

export const flow1: Claim = {
  id: "FLOW-1",
  text: "Bulk data moves between the client and the customer's object store through presigned URLs signed in the data plane with the customer's credentials.",
  from: "client",

  async prove(subject, seen) {
    const before = subject.remoteBecause === undefined ? bytesMoved(subject.planes.control.pid) : 0;
    await moveBulk(subject, seen);
    if (subject.remoteBecause !== undefined) {
      seen.note("from here, the customer's side, the control plane's process can't be looked at.");
      return;
    }
    const moved = bytesMoved(subject.planes.control.pid) - before;
    seen.holds(
      `counted what the control plane's process read and wrote while more than ${(3 * bulkBytes) / MiB} MiB moved`,
      moved < bulkBytes / 2,
      `${(moved / MiB).toFixed(1)} MiB`,
    );
    const { needles } = await credentialNeedles(subject);
    seen.none("searched the control plane's memory and files for the store's credentials", [
      ...searchProcess(needles, subject.planes.control.pid).map(describeFinding),
      ...searchFiles(needles, subject.planes.control.state).map(describeFinding),
    ]);
  },

  async control(subject, seen) {
    const { needles, credentials } = await credentialNeedles(subject);
    const copy = join(subject.folder, "control-with-credentials");
    copyFolder(subject.planes.control.state, copy);
    writeFileSync(join(copy, "credentials.json"), JSON.stringify(credentials));
    const found = searchFiles(needles, copy).map(describeFinding);
    return seen.caught(
      "the store's credentials planted in a copy of the control plane's state",
      found,
      /secret access key/,
    );
  },
};

/** A file and a folder up, both through a task, a report and the code down again; all of them by presigned URLs. */
async function moveBulk(subject: Subject, seen: Observations): Promise<void> {
  const { client, connection, folder } = subject;
  const place = await placeRun(connection);
  const uploader = new Uploader(place.router, connection.http, place);
  const content = randomBytes(bulkBytes);
  const [path, tree] = [join(folder, "bulk.bin"), join(folder, "bulk")];
  writeFileSync(path, content);
  mkdirSync(join(tree, "inner"), { recursive: true });
  writeFileSync(join(tree, "inner", "part.csv"), "airport,delay\nZRH,4\n");
  writeFileSync(join(tree, "whole.bin"), content.subarray(0, MiB));
  const source = new File(await uploader.file(path));
  const tables = new Dir(await uploader.folder(tree));
  const run = await client.run({ file: workflowFile("bulk.ts"), task: "bulk" }, { source, tables });
  const { succeeded, error } = await run.wait();
  if (!succeeded) throw new ClaimFailed(`The run that copies bulk data failed: ${error}`);
  const outputs = (await run.outputs()) as { sha256: string; rows: number; files: number };
  const sha256 = createHash("sha256").update(content).digest("hex");
  seen.holds(
    "uploaded a file, a folder and a table, and let a task read them",
    outputs.sha256 === sha256 && outputs.files === 2,
    `${outputs.files} files, ${outputs.rows} rows, SHA-256 ${outputs.sha256.slice(0, 16)}… as sent`,
  );
  await fetchBack(subject, seen, run.id);
}

async function fetchBack(
  { connection }: Subject,
  seen: Observations,
  run: { org: string; project: string; domain: string; name: string },
): Promise<void> {
  const { ArtifactType } = flyte.dataproxy;
  for (const [what, artifactType, bytesMin] of [
    ["the report", ArtifactType.REPORT, bulkBytes],
    ["the code bundle", ArtifactType.CODE_BUNDLE, 100],
  ] as const) {
    const { preSignedUrls } = await connection.data.createDownloadLink({
      artifactType,
      source: { case: "actionAttemptId", value: { actionId: { run, name: "a0" }, attempt: 1 } },
    });
    const url = new URL(preSignedUrls?.signedUrl[0] ?? "");
    const { status, body } = await fetchLink(connection.http, url.href);
    const isStore = url.origin === connection.profile.objects;
    seen.holds(
      `fetched ${what} from ${url.origin} by its presigned URL`,
      isStore && status === 200 && body.length >= bytesMin,
      `HTTP ${status}, ${body.length} bytes, signed by ${url.searchParams.get("X-Amz-Credential")?.split("/")[0]}`,
    );
  }
}

async function credentialNeedles({ planes }: Subject) {
  requireRoot();
  const credentials = await storeCredentials(planes.data.state);
  const needles = new Needles([{ name: "secret access key", text: credentials.secretAccessKey }]);
  return { needles, credentials };
}
