/** CLS-3: canaries in customer data of every kind appear nowhere in the control plane. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { requireRoot, requireTools } from "../machine/tools.ts";
import { controlPlaneCopy, plantInColumn } from "../scenes/control-plane-copy.ts";
import { gzippedToTheLink } from "../scenes/gzipped-body.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { providerTraffic, stage, stageWords } from "../scenes/stage.ts";
import type { TableText } from "../search/control-plane-rows.ts";
import type { Finding, Searchable } from "../search/needles.ts";
import { describeFinding, filesBelow, searchFile, searchFiles, searchProcess } from "../search/places.ts";
import { bytesOf, searchTraffic } from "../search/traffic.ts";

export const cls3: Claim = {
  id: "CLS-3",
  text: "Canary values placed in inputs, outputs, files, code, reports, logs, environment variables, arguments, default values, docstrings, error texts and abort reasons appear nowhere in the control plane: not in its database (read decrypted, with its own keys), WAL, logs, temp files, deleted-but-open files, process memory or traffic (decrypted).",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    requireRoot();
    const { secret, named, run } = await subject.scene(plantedRun);
    seen.note(`ran a workflow with fresh random canaries in customer data of every kind: run ${run.name}.`);
    const { control } = subject.planes;
    seen.none(
      "searched the control plane's memory and its deleted-but-open files",
      searchProcess(secret, control.pid).map(describeFinding),
    );
    const copy = await subject.scene(controlPlaneCopy);
    const rows = copy.tables.reduce((sum, { text }) => sum + text.split("\n").length, 0);
    seen.none(
      `searched ${copy.tables.length} tables of its database, ${rows} rows, decrypted with its own key`,
      inTables(secret, copy.tables).map(describeFinding),
    );
    const isKnown = inTables(named, copy.tables).length > 0;
    seen.holds(
      "looked for the task's name in the same tables, so that they are known to be of this run",
      isKnown,
      isKnown ? "it is there" : "it is NOT there",
    );
    seen.none(
      `searched ${filesBelow(control.state).length} files of its state, WAL and temporary files included, and ${control.logs.length} logs`,
      [
        ...searchFiles(secret, control.state),
        ...control.logs.flatMap((path) => searchFile(secret, path)),
      ].map(describeFinding),
    );
    await searchItsTraffic(subject, seen);
  },

  async control(subject, seen) {
    requireRoot();
    const { named } = await subject.scene(plantedRun);
    const { control } = subject.planes;
    const copy = await subject.scene(controlPlaneCopy);
    const inMemory = [...searchProcess(named, control.pid), ...inTables(named, copy.tables)];
    const isNameFound = seen.caught(
      "a canary as a task's name, which the provider knows",
      inMemory.map(describeFinding),
      /taskname in table/,
    );
    const folder = join(subject.folder, "control-planted");
    rmSync(folder, { recursive: true, force: true });
    cpSync(copy.folder, folder, { recursive: true });
    const tables = await plantInColumn(subject, folder, named.plant("column"));
    const isColumnFound = seen.caught(
      "a canary in an encrypted column of a copy of its database",
      inTables(named, tables).map(describeFinding),
      /column in table cluster/,
    );
    const traffic = await gzippedToTheLink(subject, named.plant("gzipped"));
    const isBodyFound = seen.caught(
      "a canary in a gzipped body that was sent to it",
      searchTraffic(named, traffic).map(describeFinding),
      /gzipped in .*inflated/,
    );
    return isNameFound && isColumnFound && isBodyFound;
  },
};

function inTables(wanted: Searchable, tables: readonly TableText[]): Finding[] {
  return tables.flatMap(({ table, text }) => wanted.search(Buffer.from(text), `table ${table}`));
}

/** On planes that log their session keys: those that are in use must not. */
async function searchItsTraffic(subject: Subject, seen: Observations): Promise<void> {
  requireTools("tcpdump", "tshark");
  const { planted, ports } = await subject.scene(stage);
  const traffic = await subject.scene(providerTraffic);
  const [link, tunnel] = [bytesOf(traffic, ports.link), bytesOf(traffic, ports.tunnel)];
  seen.holds(
    `captured what passed over link and tunnel of ${stageWords} and decrypted it with the provider's session keys`,
    link > 1_000 && tunnel > 10_000,
    `${link} bytes of the link, ${tunnel} of the tunnel`,
  );
  seen.none(
    "searched it for that run's canaries, headers and gzipped bodies included",
    searchTraffic(planted.secret, traffic).map(describeFinding),
  );
  const isName = searchTraffic(planted.named, traffic).length > 0;
  seen.holds(
    "looked in it for the task's name, which does cross",
    isName,
    isName ? "it is there" : "it is NOT there",
  );
}
