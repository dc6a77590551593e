/**
 * Names that connections are routed by. A connector serves the DNS names in its client certificate and no others, so
 * who may receive which connection is decided by whoever signs that certificate.
 */
import { BiplaneError } from "@biplane/base";

/** Ends every name that exists inside the tunnel only; no public DNS name can. */
export const tunnelSuffix = ".tunnel.biplane.internal";

/** What a cluster offers through the tunnel. */
export const tunnelServices = ["router", "authority", "objects"] as const;
export type TunnelService = (typeof tunnelServices)[number];

export interface TunnelTarget {
  readonly service: TunnelService;
  readonly cluster: string;
  readonly org: string;
}

export function tunnelName(target: TunnelTarget): string {
  return parseHostName(`${target.service}.${target.cluster}.${target.org}${tunnelSuffix}`);
}

/** Whether a name is one of the tunnel's own: such a name is never taken from a client's TLS server name. */
export function isInternalName(name: string): boolean {
  return name.endsWith(".biplane.internal");
}

const hostNameCharactersMax = 253;
const hostName = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;

/** Lower case, without the root's dot; undefined where it is no host name. */
export function normalizeHostName(value: string): string | undefined {
  if (value.length > hostNameCharactersMax + 1) return undefined;
  const name = value.toLowerCase().replace(/\.$/, "");
  return hostName.test(name) ? name : undefined;
}

export function parseHostName(value: string): string {
  const name = normalizeHostName(value);
  if (name !== undefined) return name;
  throw new BiplaneError("invalid_argument", {
    what: `${JSON.stringify(value.slice(0, 80))} is not a host name.`,
    why: "A host name has dot-separated labels of letters, digits and inner hyphens, 253 characters at most.",
    next: "Correct the name.",
  });
}

/** An entry up to the next comma; a comma within quotes is part of a name that tries to smuggle in others. */
const listEntry = /(?:[^",]|"(?:[^"\\]|\\.)*")+/g;

/**
 * The DNS names of a certificate, from Node's text form of the subject's alternative names. Wildcards and quoted
 * (that is, odd) entries are left out: a connector's certificate lists what it serves one by one.
 */
export function certificateNames(subjectAlternativeNames: string | undefined): string[] {
  const names = new Set<string>();
  for (const [entry] of (subjectAlternativeNames ?? "").matchAll(listEntry)) {
    const text = entry.trim();
    const name = text.startsWith("DNS:") ? normalizeHostName(text.slice("DNS:".length)) : undefined;
    if (name !== undefined) names.add(name);
  }
  return [...names];
}
