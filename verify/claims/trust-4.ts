/** TRUST-4: neither plane can rewrite what it told the other. */
import { join } from "node:path";
import { parseCheckpoint } from "@biplane/audit";
import { planeNumbers } from "@biplane/cli/commands/audit-verify";
import { sleep } from "@biplane/kit/backoff";
import type { Claim } from "../frame/claim.ts";
import { eventually } from "../frame/eventually.ts";
import { changeOf, copyLog, type Tampering, tampered } from "../scenes/audit-copies.ts";

const planes = ["data", "control"] as const;
const checkpointMsMax = 1_000;

export const trust4: Claim = {
  id: "TRUST-4",
  text: "Neither plane can rewrite what it told the other: one log per organization and plane, each witnessed by the other; the window of undetected truncation is the checkpoint interval, at most one second.",
  from: "machine",

  async prove(subject, seen) {
    const { audit } = subject.connection;
    for (const plane of planes) {
      // Asking is on record itself: there is something new to be signed.
      const before = await audit.getLog({ plane: planeNumbers[plane] });
      await sleep(checkpointMsMax);
      const after = await audit.getLog({ plane: planeNumbers[plane] });
      const [old, young] = [before, after].map(({ latest }) => parseCheckpoint(latest).size);
      seen.holds(
        `looked at the ${plane} plane's newest checkpoint a second later`,
        young! > old!,
        `it covers ${young} records instead of ${old}`,
      );
      await eventually(
        () => audit.getLog({ plane: planeNumbers[plane] }),
        (state) => state.seen.some(({ size }) => Number(size) >= young!),
        { withinMs: 20_000, what: `The other plane remembering checkpoint ${young} of the ${plane} plane` },
      );
      seen.note(`the other plane remembers it.`);
      const copy = await copyLog(subject, plane, join(subject.folder, `trust-4-${plane}`));
      for (const how of ["flip", "drop", "fork", "truncate"] satisfies Tampering[]) {
        const found = await changeOf(await tampered(copy, how));
        seen.holds(
          `a copy of the log after "${how}", by somebody with every key of the plane`,
          found.length > 0,
          found[0] ?? "it verifies",
        );
      }
    }
  },

  async control(subject, seen) {
    const copy = await copyLog(subject, "data", join(subject.folder, "trust-4-untouched"));
    const found = await changeOf(copy);
    return seen.caught(
      "the untouched copy, judged as if it had been changed",
      [found.length === 0 ? "it verifies" : "it does not verify"],
      /it verifies/,
    );
  },
};
