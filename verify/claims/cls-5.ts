/** CLS-5: each kind of data is where the documentation says, and nowhere else. */
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { askStore, storeCredentials } from "../machine/operator.ts";
import { type Content, contents, objectsSince, type Place } from "../scenes/contents.ts";
import { type HousedKind, housedRun } from "../scenes/housed-run.ts";
import { Needles } from "../search/needles.ts";

/** As docs/where-data-lives.md says. */
const placesOf: Readonly<Record<HousedKind, readonly Place[]>> = {
  code: ["object store: code-bundles"],
  description: ["data plane's database", "object store: code-bundles"],
  upload: ["object store: uploads"],
  input: ["object store: inputs"],
  output: ["object store: the run's own"],
  file: ["object store: the run's own"],
  report: ["object store: the run's own"],
  log: ["log store"],
  error: ["data plane's database", "object store: the run's own"],
  environment: ["data plane's database"],
  label: ["data plane's database"],
};

export const cls5: Claim = {
  id: "CLS-5",
  text: "Where each data type lives is what the documentation says.",
  from: "machine",
  msMax: 180_000,

  async prove(subject, seen) {
    const { run } = await subject.scene(housedRun);
    seen.note(
      `ran a workflow with one value for each of ${Object.keys(placesOf).length} kinds of data: run ${run.name}.`,
    );
    const found = await contents(subject);
    const names = Map.groupBy(found, ({ place }) => place);
    seen.note(
      `read all that was kept of it with each store's own client: ${[...names].map(([place, all]) => `${place}, ${all.length}`).join("; ")}.`,
    );
    seen.none(
      "looked for each value in all of it: each is where the documentation says, and nowhere else",
      await misplaced(subject, found),
    );
    const isKnown = found.some(
      ({ place, bytes }) => place === "control plane's database" && bytes.includes(run.name),
    );
    seen.holds(
      "looked for the run's name in the control plane's database, where names are",
      isKnown,
      isKnown ? "it is there" : "it is NOT there",
    );
  },

  async control(subject, seen) {
    const { run } = await subject.scene(housedRun);
    const before = await contents(subject);
    const report = before.find(({ name }) => name.includes(`/${run.name}/`) && name.endsWith("/report.html"));
    if (report === undefined) return false;
    const { profile } = subject.connection;
    const credentials = await storeCredentials(subject.planes.data.state);
    await askStore(profile, credentials, "DELETE", `/${profile.bucket}/${report.name}`);
    const objects = await objectsSince(subject);
    const after = [...objects, ...before.filter(({ place }) => !place.startsWith("object store"))];
    const problems = await misplaced(subject, after);
    const isReadMissed = seen.caught(
      "the report's object deleted from the store",
      problems,
      /^report is not in/,
    );
    seen.note(`other reads that failed with it: ${problems.length - 1}.`);
    const copy: Content = { ...report, place: "log store", name: "a0" };
    const isCopyFound = seen.caught(
      "the same report in another store as well",
      await misplaced(subject, [...before, copy]),
      /^report is in log store/,
    );
    return isReadMissed && problems.length === 1 && isCopyFound;
  },
};

async function misplaced(subject: Subject, found: readonly Content[]): Promise<string[]> {
  const { values } = await subject.scene(housedRun);
  const needles = new Needles([...values.values()]);
  const seen = new Map<string, Map<Place, string>>();
  for (const { place, name, bytes } of found) {
    for (const { kind } of needles.search(bytes, name))
      seen.set(kind, (seen.get(kind) ?? new Map<Place, string>()).set(place, name));
  }
  return Object.entries(placesOf).flatMap(([kind, places]) => {
    const actual = seen.get(kind) ?? new Map<Place, string>();
    return [
      ...places.filter((place) => !actual.has(place)).map((place) => `${kind} is not in ${place}`),
      ...[...actual]
        .filter(([place]) => !places.includes(place))
        .map(([place, name]) => `${kind} is in ${place}: ${name}`),
    ];
  });
}
