/** FLOW-3: presigned URLs are stored and logged nowhere. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { decodeAuditRecord } from "@biplane/audit";
import { planeNumbers } from "@biplane/cli/commands/audit-verify";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { planeNames } from "../machine/planes.ts";
import { requireRoot } from "../machine/tools.ts";
import { linkSignature } from "../scenes/capabilities.ts";
import { controlPlaneCopy, plantInColumn } from "../scenes/control-plane-copy.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { stage, stageWords } from "../scenes/stage.ts";
import { Needles } from "../search/needles.ts";
import { describeFinding, searchFile, searchFiles } from "../search/places.ts";

export const flow3: Claim = {
  id: "FLOW-3",
  text: "Presigned URLs are never stored or logged anywhere.",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    requireRoot();
    const { run } = await subject.scene(plantedRun);
    const needles = new Needles([await linkSignature(subject.client, run)]);
    seen.note("had a URL signed and fetched it; its signature is what is searched for.");
    for (const name of planeNames) {
      const { state, logs } = subject.planes[name];
      seen.none(
        `searched files and logs of the ${name} plane`,
        [...searchFiles(needles, state), ...logs.flatMap((path) => searchFile(needles, path))].map(
          describeFinding,
        ),
      );
    }
    const { tables } = await subject.scene(controlPlaneCopy);
    seen.none(
      "searched the control plane's tables, decrypted",
      tables.flatMap(({ table, text }) => needles.search(Buffer.from(text), table)).map(describeFinding),
    );
    seen.none(
      "searched every audit record of both planes, and every message of the border ledger",
      [
        ...needles.search(await auditText(subject), "audit records"),
        ...needles.search(await borderBytes(subject), "the border ledger"),
      ].map(describeFinding),
    );
    const own = await subject.scene(stage);
    const ownNeedles = new Needles([await linkSignature(own.client, own.planted.run)]);
    seen.none(
      `searched logs at trace level of ${stageWords} for a URL signed there`,
      own.logs.flatMap((path) => searchFile(ownNeedles, path)).map(describeFinding),
    );
  },

  async control(subject, seen) {
    const { run } = await subject.scene(plantedRun);
    const signature = await linkSignature(subject.client, run);
    const { folder } = await subject.scene(controlPlaneCopy);
    const planted = join(subject.folder, "control-with-link");
    cpSync(folder, planted, { recursive: true });
    const tables = await plantInColumn(subject, planted, signature.text);
    const needles = new Needles([signature]);
    const found = tables
      .flatMap(({ table, text }) => needles.search(Buffer.from(text), table))
      .map(describeFinding);
    return seen.caught(
      "a signature stored in an encrypted column of a copy of the index",
      found,
      /signature in cluster/,
    );
  },
};

async function auditText({ connection }: Subject): Promise<Buffer> {
  const texts: string[] = [];
  for (const plane of ["data", "control"] as const) {
    for await (const { record } of connection.audit.readRecords({ plane: planeNumbers[plane] })) {
      texts.push(JSON.stringify(decodeAuditRecord(record)));
    }
  }
  return Buffer.from(texts.join("\n"));
}

async function borderBytes({ connection }: Subject): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const { message, headers } of connection.border.readLedger({
    fromSequence: 0n,
    follow: false,
    run: "",
  })) {
    parts.push(message, Buffer.from(JSON.stringify(headers.map(({ name, value }) => [name, value]))));
  }
  return Buffer.concat(parts);
}
