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
  pending(
    "AUD-1",
    "Every API request in both planes is recorded with identity, action, resource, decision, time, source address and request id; refused ones too.",
    "tests/e2e/audit-every-request.test.ts",
  ),
  pending(
    "IAM-1",
    "People sign in with OIDC through the customer's identity provider; machines use API keys or OAuth2 client credentials with their own identity; revoked ones stop working.",
    "tests/conformance/oidc.test.ts",
  ),
  pending(
    "IAM-2",
    "Admin, Contributor, Viewer, and custom roles bound by policies decide every request, identically in the control plane and in the router.",
    "tests/e2e/policy.test.ts",
  ),
  pending(
    "IAM-3",
    "The router authenticates and authorizes inside the data plane; with the control plane down it keeps deciding with the last signed policy until that goes stale.",
    "tests/e2e/policy.test.ts",
  ),
];
