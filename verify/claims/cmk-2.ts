/** CMK-2: keys rotate without rewriting data; a destroyed version takes exactly its own data with it. */
import { setTimeout as delay } from "node:timers/promises";
import { keys as wire } from "@biplane/data-wire";
import type { RemoteClient, RemoteRun } from "@biplane/sdk/remote";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import {
  currentVersion,
  makeKeyProject,
  reportedRun,
  reportUrl,
  secondAndABitMs,
  stateOf,
} from "../scenes/key-project.ts";
import { download } from "../wire/downloads.ts";

export const cmk2: Claim = {
  id: "CMK-2",
  text: "Keys rotate without rewriting data, and old data stays readable until its key version is destroyed.",
  from: "client",

  async prove(subject, seen) {
    const project = await makeKeyProject(subject);
    const { client, key } = project;
    const old = await reportedRun(client, 1);
    const before = await currentVersion(project);
    await client.connection.keys.rotateKey({ key });
    const after = await currentVersion(project);
    seen.holds(
      "rotated a project's key",
      before.version !== after.version,
      `new data is under version ${after.version} instead of ${before.version}`,
    );
    // Of another size, so that nothing of it is the object that is there already.
    const fresh = await reportedRun(client, 2);
    seen.holds(
      "read old data and new data",
      (await reads(subject, client, old)) && (await reads(subject, client, fresh)),
      "both are readable",
    );
    await client.connection.keys.destroyKey({ version: before });
    await delay(secondAndABitMs);
    const isGone = (await stateOf(project, before)) === wire.KeyState.DESTROYED;
    seen.holds(
      "destroyed the old version",
      isGone || !(await reads(subject, client, old)),
      isGone ? "it is listed as destroyed" : "it is not listed any more",
    );
    seen.holds("read old data again", !(await reads(subject, client, old)), "it is not readable any more");
    seen.holds("read new data again", await reads(subject, client, fresh), "it is readable");
  },

  async control(subject, seen) {
    const project = await makeKeyProject(subject);
    const run = await reportedRun(project.client, 1);
    await project.client.connection.keys.rotateKey({ key: project.key });
    await project.client.connection.keys.destroyKey({ version: await currentVersion(project) });
    await delay(secondAndABitMs);
    const isLost = !(await reads(subject, project.client, run));
    const found = [
      isLost
        ? "old data is unreadable"
        : "old data is readable, although another version than its own was destroyed",
    ];
    return seen.caught(
      "the newer version destroyed in place of the older one",
      found,
      /is readable, although/,
    );
  },
};

async function reads(subject: Subject, client: RemoteClient, run: RemoteRun): Promise<boolean> {
  const { status } = await download(await reportUrl(client, run), subject.connection.profile.rootPem);
  return status === 200;
}
