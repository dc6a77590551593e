/**
 * What the organization's root writes into the certificates of its intermediates: whose they are. A cluster's own
 * intermediate can sign for its servers; it can't make itself the authority, whose documents everybody follows.
 */

/** Borne by the home cluster's intermediate alone: it signs policy, deny list and cluster list. */
export function authorityUri(org: string): string {
  return `urn:biplane:authority:${org}`;
}

/** Borne by the organization's root, before its version: the first root is 1, and each that follows it one more. */
export function rootUriPrefix(org: string): string {
  return `urn:biplane:root:${org}:`;
}

/** Borne by each cluster's intermediate, the home's included. */
export function clusterUri(org: string, cluster: string): string {
  return `urn:biplane:cluster:${org}:${cluster}`;
}
