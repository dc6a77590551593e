/** Whether a task may connect to what it names, and to which of its addresses: decided before anything is dialled. */
import { type AttemptId, BiplaneError } from "@biplane/base";
import { canonicalAddress } from "./addresses.ts";
import { type AllowedHost, allowsTarget, mayDial, parseAuthority, type Target } from "./allowed-hosts.ts";

export type EgressDecision =
  | { readonly kind: "allowed"; readonly target: Target; readonly addresses: readonly string[] }
  | { readonly kind: "refused"; readonly error: BiplaneError };

export interface DecisionParts {
  readonly hostsOf: (project: string) => readonly AllowedHost[];
  /** All addresses of a name; rejects where there is none. */
  readonly resolve: (name: string) => Promise<readonly string[]>;
}

/** A name with more is dialled at the first ones. */
const addressesMax = 8;

export async function decideEgress(
  { hostsOf, resolve }: DecisionParts,
  attempt: AttemptId | undefined,
  authority: string,
): Promise<EgressDecision> {
  if (attempt === undefined) return refused(nobody());
  const target = parseAuthority(authority);
  if (target === undefined) return refused(unreadable());
  const { project } = attempt;
  const list = hostsOf(project);
  // Before the name is looked up: a name that may be asked for is a message to whoever answers for it.
  if (!allowsTarget(list, target)) return refused(notAllowed(project, target));
  const found = await addressesOf(target, resolve);
  if (found === undefined) return refused(unresolved(target));
  const addresses = found.filter((address) => mayDial(list, address, target.port)).slice(0, addressesMax);
  if (addresses.length === 0) return refused(elsewhere(project, target, found));
  return { kind: "allowed", target, addresses };
}

function refused(error: BiplaneError): EgressDecision {
  return { kind: "refused", error };
}

/** Of a literal address itself. Undefined where the name has none. */
async function addressesOf(
  { host }: Target,
  resolve: DecisionParts["resolve"],
): Promise<readonly string[] | undefined> {
  if (canonicalAddress(host) !== undefined) return [host];
  try {
    const found = (await resolve(host)).flatMap((address) => canonicalAddress(address) ?? []);
    return found.length === 0 ? undefined : found;
  } catch {
    return undefined;
  }
}

function named({ host, port }: Target): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function nobody(): BiplaneError {
  const text = { what: "No task runs here.", next: "Connect from a task while it runs." };
  return new BiplaneError("failed_precondition", text, { reason: "no_task" });
}

export function unreadable(): BiplaneError {
  return new BiplaneError(
    "invalid_argument",
    {
      what: "The host and port to connect to can't be read.",
      next: "Name them as api.example.com:443 or [2001:4860::1]:443.",
    },
    { reason: "target_invalid" },
  );
}

function notAllowed(project: string, target: Target): BiplaneError {
  return new BiplaneError(
    "permission_denied",
    {
      what: `Tasks of project ${project} may not connect to ${named(target)}.`,
      why: "It is not among the hosts that the project was allowed.",
      next: `An administrator allows it by \`biplane update project ${project} --allow-host ${named(target)}\`.`,
    },
    { reason: "host_not_allowed" },
  );
}

function elsewhere(project: string, target: Target, addresses: readonly string[]): BiplaneError {
  const [address = ""] = addresses;
  return new BiplaneError(
    "permission_denied",
    {
      what: `Tasks of project ${project} may not connect to ${named(target)}.`,
      why: `It resolves to ${address}, which is not a public address.`,
      next: `If that is meant, an administrator allows the address as well: \`biplane update project ${project} --allow-host ${named({ ...target, host: address })}\`. Link-local and metadata addresses are never allowed.`,
    },
    { reason: "address_not_allowed" },
  );
}

function unresolved(target: Target): BiplaneError {
  return new BiplaneError(
    "unavailable",
    {
      what: `The host ${target.host} has no address.`,
      why: "The data plane's resolver knows none, or did not answer in time.",
      next: "Look the name up on the data plane's machine.",
    },
    { reason: "host_unresolved" },
  );
}
