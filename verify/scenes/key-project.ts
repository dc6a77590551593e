/** A project of verify's own under a customer key of its own, with a report in it: what keys are tried on. */
import { randomBytes } from "node:crypto";
import { ensureProject } from "@biplane/cli/commands/create";
import { flyte, keys as wire } from "@biplane/data-wire";
import { RemoteClient, type RemoteRun } from "@biplane/sdk/remote";
import { ClaimFailed } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { workflowFile } from "../machine/sources.ts";

export interface KeyProject {
  readonly client: RemoteClient;
  readonly key: string;
}

const megabytes = 48;
export const reportBytes = megabytes * 1024 * 1024;
/** What the provider reports counts after a second at the latest. */
export const secondAndABitMs = 1_100;

export async function makeKeyProject(subject: Subject): Promise<KeyProject> {
  const project = `verify-${randomBytes(4).toString("hex")}`;
  const key = `${project}-key`;
  const connection = { ...subject.connection, project };
  await ensureProject(connection, project);
  await connection.keys.assignKey({ project, key });
  return { client: new RemoteClient(connection), key };
}

export async function reportedRun(client: RemoteClient, mebibytes = megabytes): Promise<RemoteRun> {
  const run = await client.run({ file: workflowFile("reports.ts"), task: "large-report" }, { mebibytes });
  const { succeeded, error } = await run.wait();
  if (!succeeded) throw new ClaimFailed(`The run that makes a report failed: ${error}`);
  return run;
}

export async function reportUrl({ connection }: RemoteClient, run: RemoteRun): Promise<string> {
  const { preSignedUrls } = await connection.data.createDownloadLink({
    artifactType: flyte.dataproxy.ArtifactType.REPORT,
    source: { case: "actionAttemptId", value: { actionId: { run: run.id, name: "a0" }, attempt: 1 } },
  });
  return preSignedUrls?.signedUrl[0] ?? "";
}

export async function currentVersion({ client, key }: KeyProject): Promise<{ key: string; version: string }> {
  const { keys } = await client.connection.keys.listKeys({});
  const found = keys.find(({ current, version }) => current && version?.key === key)?.version;
  if (found === undefined) throw new ClaimFailed(`The key ${key} is not listed.`);
  return { key: found.key, version: found.version };
}

/** Enabled again in the end, whatever happens meanwhile. */
export async function disable(
  subject: Subject,
  project: KeyProject,
  version: { key: string; version: string },
) {
  const { keys } = project.client.connection;
  const enable = subject.undo.add(() => keys.enableKey({ version }));
  await keys.disableKey({ version });
  return enable;
}

export async function stateOf(
  { client }: KeyProject,
  version: { key: string; version: string },
): Promise<wire.KeyState> {
  const { keys } = await client.connection.keys.listKeys({});
  const found = keys.find(
    (one) => one.version?.key === version.key && one.version.version === version.version,
  );
  return found?.state ?? wire.KeyState.UNSPECIFIED;
}
