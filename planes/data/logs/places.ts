/** Where an attempt's batches are in the journal: sequence numbers, ascending, kept as runs of neighbours. */
export class Places {
  /** Pairs of first sequence and count. */
  readonly #runs: number[] = [];

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  add(sequence: number, count = 1): void {
    const last = this.#runs.length - 2;
    if (last >= 0 && this.#runs[last]! + this.#runs[last + 1]! === sequence) this.#runs[last + 1]! += count;
    else this.#runs.push(sequence, count);
  }

  addRuns(runs: readonly number[]): void {
    for (let at = 0; at + 1 < runs.length; at += 2) this.add(runs[at]!, runs[at + 1]!);
  }

  toRuns(): readonly number[] {
    return [...this.#runs];
  }

  /** Forgets the places before the sequence. */
  dropBefore(sequence: number): void {
    let whole = 0;
    while (whole < this.#runs.length && this.#runs[whole]! + this.#runs[whole + 1]! <= sequence) whole += 2;
    this.#runs.splice(0, whole);
    const first = this.#runs[0];
    if (first === undefined || first >= sequence) return;
    this.#runs[0] = sequence;
    this.#runs[1]! -= sequence - first;
  }

  /** The first place at or after the sequence. */
  next(sequence: number): number | undefined {
    let low = 0;
    let high = this.#runs.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[2 * middle]! + this.#runs[2 * middle + 1]! <= sequence) low = middle + 1;
      else high = middle;
    }
    const first = this.#runs[2 * low];
    return first === undefined ? undefined : Math.max(first, sequence);
  }
}
