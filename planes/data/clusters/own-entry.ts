/** How this cluster stands in the list: made of its configuration, its certificate and its keys as they are now. */
import type { ListedCluster, PublicKeys } from "@biplane/identity";
import { fingerprint } from "@biplane/kit/certificates";
import type { KeyUse, SigningKeys } from "../identity/signing-keys.ts";

export interface OwnNames {
  readonly cluster: string;
  readonly region: string;
  readonly router: string;
  readonly objects: string;
  readonly authority: string;
}

export function homeEntry(names: OwnNames, intermediatePem: string, keys: SigningKeys): ListedCluster {
  const { cluster: name, region, router, objects } = names;
  return {
    ...{ name, region, router, objects },
    authority: { address: names.authority, keys: publicKeys(keys, "authority") },
    fingerprint: fingerprint(intermediatePem),
    taskKeys: publicKeys(keys, "task"),
  };
}

/** The signing key first, then those that still verify. */
export function publicKeys(keys: Pick<SigningKeys, "verifying">, use: KeyUse): PublicKeys {
  return keys.verifying(use).map(({ publicJwk }) => publicJwk as PublicKeys[number]);
}
