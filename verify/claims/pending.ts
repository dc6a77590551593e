/**
 * Claims of the register that `biplane verify` does not prove yet. They fail with that as their reason, so that nobody takes
 * silence for proof; the tests that hold them meanwhile are named.
 */
import type { Claim } from "../frame/claim.ts";
import { ClaimFailed } from "../frame/observations.ts";

function pending(id: string, text: string, heldBy: string): Claim {
  const reason = `\`biplane verify\` does not prove this claim yet; in the repository ${heldBy} holds it.`;
  const fail = () => Promise.reject(new ClaimFailed(reason));
  return { id, text, from: "client", prove: fail, control: fail };
}

export const pendingClaims: readonly Claim[] = [
  pending("CLS-5", "Where each data type lives is what the documentation says.", "no single test"),
];
