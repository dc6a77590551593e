/** Seeds of a run of fault tests: each decides which process is killed when. */

const seedsDefault = 10;

/** Seeds of this run: `--seed N` repeats one, `--seeds N` makes that many new ones. */
export function faultSeeds(): number[] {
  const one = process.env["BIPLANE_FAULT_SEED"];
  if (one !== undefined) return [Number(one)];
  const count = Number(process.env["BIPLANE_FAULT_SEEDS"] ?? seedsDefault);
  const first = Date.now() % 1_000_000_000;
  return Array.from({ length: count }, (_, index) => first + index);
}
