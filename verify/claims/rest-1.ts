/** REST-1: everything that either plane writes is encrypted, without any configuration. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "../frame/claim.ts";
import { askStore, storeCredentials } from "../machine/operator.ts";
import { planeNames } from "../machine/planes.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { describeFinding, filesBelow, searchFile, searchFiles, searchProcess } from "../search/places.ts";

export const rest1: Claim = {
  id: "REST-1",
  text: "Everything either plane writes (objects, secrets, logs, metrics, queue state, documents, details, audit, and the control plane's index) is AES-256 encrypted without any configuration.",
  from: "machine",

  async prove(subject, seen) {
    const { secret, named } = await subject.scene(plantedRun);
    const { planes, connection } = subject;
    for (const name of planeNames) {
      const { state, logs } = planes[name];
      const found = [...searchFiles(secret, state), ...logs.flatMap((path) => searchFile(secret, path))];
      seen.none(
        `searched ${filesBelow(state).length} files and ${logs.length} logs of the ${name} plane for the run's values`,
        found.map(describeFinding),
      );
    }
    const held = searchProcess(secret, planes.data.pid);
    seen.holds(
      "looked for the same values in the data plane's memory, so that the search is known to work",
      held.length > 0,
      `found in ${held.length} places`,
    );
    const names = [planes.data, planes.control].flatMap(({ state }) => searchFiles(named, state));
    seen.note(
      `the task's name, which is orchestration metadata and no customer data: ${names.length === 0 ? "in no file in plain form" : `in plain form in ${names.length} of the planes' own files`}.`,
    );
    const credentials = await storeCredentials(planes.data.state);
    const { profile } = connection;
    const { status, text } = await askStore(profile, credentials, "GET", `/${profile.bucket}?encryption=`);
    const algorithm = /<SSEAlgorithm>([^<]+)</.exec(text)?.[1];
    seen.holds(
      "asked the store by GetBucketEncryption",
      status === 200 && algorithm !== undefined,
      `HTTP ${status}, ${algorithm ?? text.slice(0, 200)}`,
    );
  },

  async control(subject, seen) {
    const { secret } = await subject.scene(plantedRun);
    const folder = join(subject.folder, "unencrypted-store", "objects", "4f");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "4f1c"), `a header\0${secret.plant("upload")}\0`);
    const found = searchFiles(secret, join(subject.folder, "unencrypted-store")).map(describeFinding);
    return seen.caught("a store that writes without encryption", found, /upload in/);
  },
};
