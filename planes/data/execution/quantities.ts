/** Kubernetes quantities, as tasks ask for CPU and memory: `500m`, `1.5`, `512Mi`, `2G`. */
import { BiplaneError } from "@biplane/base";

const factors: Readonly<Record<string, number>> = {
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** The number meant, cores or bytes. */
export function parseQuantity(text: string): number {
  const [, digits, suffix] = /^(\d+(?:\.\d+)?(?:[eE]\d+)?)([a-zA-Z]*)$/.exec(text.trim()) ?? [];
  const factor = suffix === undefined ? undefined : factors[suffix];
  if (digits !== undefined && factor !== undefined) return Number(digits) * factor;
  throw new BiplaneError(
    "invalid_argument",
    {
      what: `${JSON.stringify(text.slice(0, 40))} is not an amount of CPU or memory.`,
      why: "It has to be a number with an optional unit: m, k, M, G, T, Ki, Mi, Gi or Ti.",
      next: "Correct the task's resources and run it again.",
    },
    { reason: "resources_invalid" },
  );
}
