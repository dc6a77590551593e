/** Randomness that can be had again: a seed decides which process is killed when. */

export interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  pick<T>(values: readonly T[]): T;
}

const seedsDefault = 10;

/** Seeds of this run: `--seed N` repeats one, `--seeds N` makes that many new ones. */
export function faultSeeds(): number[] {
  const one = process.env["BIPLANE_FAULT_SEED"];
  if (one !== undefined) return [Number(one)];
  const count = Number(process.env["BIPLANE_FAULT_SEEDS"] ?? seedsDefault);
  const first = Date.now() % 1_000_000_000;
  return Array.from({ length: count }, (_, index) => first + index);
}

/** Mulberry32: small, good enough to choose victims, the same on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { below, pick: (values) => values[below(values.length)]! };
}
