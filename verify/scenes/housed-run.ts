/** A run with one value for each kind of data, each of which has to be in its own place and nowhere else (claim CLS-5). */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BiplaneError } from "@biplane/base";
import { File } from "@biplane/sdk";
import type { RemoteRun } from "@biplane/sdk/remote";
import type { Subject } from "../frame/subject.ts";
import { workflowFile } from "../machine/sources.ts";
import { Canaries } from "../search/canary.ts";
import type { Needle } from "../search/needles.ts";

export const computedKinds = ["output", "file", "report", "log", "error"] as const;
export const givenKinds = ["code", "description", "upload", "input", "environment", "label"] as const;
export type HousedKind = (typeof computedKinds)[number] | (typeof givenKinds)[number];

export interface HousedRun {
  readonly run: RemoteRun;
  readonly values: ReadonlyMap<HousedKind, Needle>;
  readonly startedMs: number;
}

const runMsMax = 90_000;

export async function housedRun({ client, folder, signal }: Subject): Promise<HousedRun> {
  const startedMs = Date.now();
  // Each has a marker of its own: one search tells them apart in whatever form.
  const given = new Map(givenKinds.map((kind) => [kind, new Canaries().plant(kind)]));
  const computed = new Map(computedKinds.map((kind) => [kind, computedValue(given.get("code")!, kind)]));
  const source = readFileSync(workflowFile("places.ts"), "utf8").replaceAll(
    /@canary:([a-z]+)@/g,
    (_, kind: string) => given.get(kind as (typeof givenKinds)[number])!,
  );
  const file = join(folder, `places-${startedMs}.ts`);
  writeFileSync(file, source);
  const inputPath = join(folder, `places-${startedMs}.txt`);
  writeFileSync(inputPath, given.get("upload")!);
  const input = { text: given.get("input")!, source: new File(await client.upload(inputPath)) };
  const options = {
    env: { PLACES_SETTING: given.get("environment")! },
    labels: { places: given.get("label")! },
  };
  const run = await client.run({ file, task: "places" }, input, options);
  const ended = await run.wait(AbortSignal.any([signal, AbortSignal.timeout(runMsMax)]));
  if (!ended.succeeded) throw new BiplaneError("aborted", `The run that fills all places ${ended.phase}.`);
  const values = new Map([...given, ...computed].map(([kind, text]) => [kind, { name: kind, text }]));
  return { run, values, startedMs };
}

/** As the workflow computes it. */
function computedValue(code: string, kind: string): string {
  return createHash("sha256").update(`${code} ${kind}`).digest("hex");
}
