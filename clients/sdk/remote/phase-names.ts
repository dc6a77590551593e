/** Phases in words. */
const names: readonly string[] = [
  "unspecified",
  "queued",
  "waiting",
  "initializing",
  "running",
  "succeeded",
  "failed",
  "aborted",
  "timed out",
  "paused",
  "recovered",
];

export function phaseName(phase: number): string {
  return names[phase] ?? `phase ${phase}`;
}

export function phaseNumber(name: string): number | undefined {
  const index = names.indexOf(name.toLowerCase().replace(/[_-]/g, " "));
  return index < 0 ? undefined : index;
}
