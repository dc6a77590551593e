/** What a claim's check did and saw, as a reviewer reads it later; and how a check says that a claim does not hold. */

export class ClaimFailed extends Error {
  override readonly name = "ClaimFailed";
}

const shownMax = 5;

export class Observations {
  readonly lines: string[] = [];

  note(line: string): void {
    this.lines.push(line);
  }

  /** Throws, naming the problems, unless there is none. `what` says what was done. */
  none(what: string, problems: readonly string[]): void {
    this.note(`${what}: ${problems.length === 0 ? "nothing against the claim" : sentence(problems)}.`);
    if (problems.length > 0) throw new ClaimFailed(`${what}: ${sentence(problems)}.`);
  }

  /** Throws unless it holds. */
  holds(what: string, does: boolean, saw: string): void {
    this.note(`${what}: ${saw}.`);
    if (!does) throw new ClaimFailed(`${what}: ${saw}.`);
  }

  /** For controls: whether the problems that the check reported are about what was done. */
  caught(what: string, problems: readonly string[], about: RegExp): boolean {
    const found = problems.filter((problem) => about.test(problem));
    this.note(`${what}: ${found.length === 0 ? "NOT reported" : `reported: ${sentence(found)}`}.`);
    return found.length > 0;
  }
}

function sentence(problems: readonly string[]): string {
  const more = problems.length - shownMax;
  return [...problems.slice(0, shownMax), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}
