/** TRUST-3: old messages do not work twice. */
import { trustClaim } from "./trust.ts";

export const trust3 = trustClaim({
  id: "TRUST-3",
  text: "Old messages do not work twice: replayed intents, older policy bundles, expired bundles and re-used commands are refused.",
});
