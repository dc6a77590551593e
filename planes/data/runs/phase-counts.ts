/** How many actions of each task are in which phase, kept up to date with each change instead of counted. */
import type { Phase } from "@biplane/control-wire";
import type { PhaseCount } from "./types.ts";

export class PhaseCounts {
  readonly #byTask = new Map<string, Map<Phase, number>>();

  move(taskName: string, from: Phase | undefined, to: Phase): void {
    if (from === to) return;
    let phases = this.#byTask.get(taskName);
    if (phases === undefined) {
      phases = new Map();
      this.#byTask.set(taskName, phases);
    }
    if (from !== undefined) phases.set(from, (phases.get(from) ?? 0) - 1);
    phases.set(to, (phases.get(to) ?? 0) + 1);
  }

  list(): readonly PhaseCount[] {
    const counts: PhaseCount[] = [];
    for (const [taskName, phases] of this.#byTask) {
      for (const [phase, count] of phases) {
        if (count > 0) counts.push({ taskName, phase, count });
      }
    }
    return counts;
  }
}
