/** AUD-3: the audit trail is tamper-evident. */
import { join } from "node:path";
import { verifyLog } from "@biplane/audit";
import { logUnderCheck, planeNumbers } from "@biplane/cli/commands/audit-verify";
import type { Claim } from "../frame/claim.ts";
import { eventually } from "../frame/eventually.ts";
import type { Subject } from "../frame/subject.ts";
import { changeOf, copyLog, type Tampering, tampered } from "../scenes/audit-copies.ts";

const planes = ["data", "control"] as const;

export const aud3: Claim = {
  id: "AUD-3",
  text: "The trail is tamper-evident: records form a Merkle log whose signed checkpoints each plane witnesses for the other, so neither can rewrite its past alone.",
  from: "client",
  controlFrom: "machine",

  async prove(subject, seen) {
    for (const plane of planes) {
      await countersigned(subject, plane);
      const { verdict, alarms } = await checkLive(subject, plane);
      const { size, recordsChecked, countersignedSize, problem } = verdict;
      seen.none(
        `hashed ${recordsChecked} of ${size} records of the ${plane} plane's log again, checked its signatures and what the other plane remembers (countersigned: ${countersignedSize})`,
        [
          ...(problem === undefined ? [] : [`record ${problem.index}: ${problem.what}`]),
          ...alarms.map((alarm) => `the other plane says ${alarm}`),
          ...(recordsChecked === 0 ? ["no record was read"] : []),
        ],
      );
    }
  },

  async control(subject, seen) {
    let isCaught = true;
    for (const plane of planes) {
      const copy = await copyLog(subject, plane, join(subject.folder, `audit-${plane}`));
      const untouched = await changeOf(copy);
      seen.note(
        `a copy of the ${plane} plane's log, untouched: ${untouched.length === 0 ? "verifies" : untouched.join("; ")}.`,
      );
      isCaught &&= untouched.length === 0;
      for (const how of ["flip", "drop", "truncate"] satisfies Tampering[]) {
        const found = await changeOf(await tampered(copy, how));
        isCaught = seen.caught(`the same copy after "${how}"`, found, /record \d+/) && isCaught;
      }
    }
    return isCaught;
  },
};

async function checkLive({ connection }: Subject, plane: (typeof planes)[number]) {
  const state = await connection.audit.getLog({ plane: planeNumbers[plane] });
  return {
    verdict: await verifyLog(logUnderCheck(connection, plane, state, undefined)),
    alarms: state.alarms,
  };
}

/** The other plane answers within a second; a log that began just now may not have been seen yet. */
function countersigned({ connection }: Subject, plane: (typeof planes)[number]): Promise<unknown> {
  return eventually(
    () => connection.audit.getLog({ plane: planeNumbers[plane] }),
    ({ seen }) => seen.length > 0,
    { withinMs: 20_000, what: `The other plane remembering the ${plane} plane's log` },
  );
}
