/** TLS-5: neither data nor credentials are logged, at any level. */
import { appendFileSync, cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "../frame/claim.ts";
import { requireRoot } from "../machine/tools.ts";
import { capabilitiesOf } from "../scenes/capabilities.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { stage, stageWords } from "../scenes/stage.ts";
import { Needles } from "../search/needles.ts";
import { describeFinding, searchFile } from "../search/places.ts";

export const tls5: Claim = {
  id: "TLS-5",
  text: "Neither data content nor credentials are logged at any level, debug and trace included.",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    requireRoot();
    const { client, planted, logs, credentials, claim, system } = await subject.scene(stage);
    const granting = new Needles([
      ...(await capabilitiesOf(client, planted.run, system.folders.data)),
      { name: "a client's secret", text: credentials.clientSecret },
      { name: "the one-time claim", text: claim },
    ]);
    const lines = logs.map((path) => readFileSync(path, "utf8").trim().split("\n").length);
    seen.holds(
      `ran a planted run on ${stageWords} with every program at trace level`,
      lines.every((count) => count > 0),
      `their logs have ${lines.join(", ")} lines`,
    );
    seen.none(
      "searched the three logs for the run's values",
      logs.flatMap((path) => searchFile(planted.secret, path)).map(describeFinding),
    );
    seen.none(
      "searched them for tokens, secrets, keys and signed URLs",
      logs.flatMap((path) => searchFile(granting, path)).map(describeFinding),
    );
    const { secret } = await subject.scene(plantedRun);
    const live = Object.values(subject.planes).flatMap((plane) => plane.logs);
    seen.none(
      `searched the ${live.length} logs of the planes that are verified for their planted run's values`,
      live.flatMap((path) => searchFile(secret, path)).map(describeFinding),
    );
  },

  async control(subject, seen) {
    const { secret } = await subject.scene(plantedRun);
    const copy = join(subject.folder, "planted.log");
    const [log] = subject.planes.data.logs;
    if (log !== undefined) cpSync(log, copy);
    appendFileSync(copy, `{"level":"trace","event":"input","value":"${secret.plant("logged")}"}\n`);
    return seen.caught(
      "a line with a run's value in a copy of the data plane's log",
      searchFile(secret, copy).map(describeFinding),
      /logged in/,
    );
  },
};
