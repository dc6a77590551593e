/** What TRUST-1, TRUST-2 and TRUST-3 have in common: attacks of a control plane that was taken over, one after the other. */
import type { Claim } from "../frame/claim.ts";
import type { Observations } from "../frame/observations.ts";
import type { Subject } from "../frame/subject.ts";
import { stageWords } from "../scenes/stage.ts";
import { attacksOn, type TakenOver, takenOver, tryIntent, tryMessage } from "../scenes/taken-over.ts";

type Parts = Pick<Claim, "text"> & {
  readonly id: "TRUST-1" | "TRUST-2" | "TRUST-3";
  readonly more?: (at: TakenOver, subject: Subject, seen: Observations) => Promise<void>;
};

export function trustClaim({ id, text, more }: Parts): Claim {
  return {
    id,
    text,
    from: "machine",
    // What one attack changes would be another's surroundings.
    alone: ["stage"],
    msMax: 240_000,

    async prove(subject, seen) {
      const at = await subject.scene(takenOver);
      seen.note(
        `put a modified control plane, on the honest one's state and keys, in the place of the honest one of ${stageWords.replace(/,$/, ".")}`,
      );
      const { intents, messages } = attacksOn(id);
      for (const name of intents) seen.none(`sent an intent with ${name}`, await tryIntent(at, name));
      for (const name of messages) seen.none(`said over the link: ${name}`, await tryMessage(at, name));
      await more?.(at, subject, seen);
      const { succeeded } = await at.honestRun();
      seen.holds("sent an honest intent after all of that", succeeded, "the run was done");
    },

    async control(subject, seen) {
      const at = await subject.scene(takenOver);
      const { succeeded } = await at.honestRun();
      const found = succeeded ? ["an honest intent: the run was done"] : [];
      return seen.caught(
        "the honest message of the same control plane, judged as if it were an attack",
        found,
        /the run was done/,
      );
    },
  };
}
