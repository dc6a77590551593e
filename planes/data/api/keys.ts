/** The customer's keys, for administrators. What is done to a key happens at its provider; nothing here sees one. */
import { BiplaneError, parseProjectId } from "@biplane/base";
import { keys } from "@biplane/data-wire";
import type { ListedKey } from "../keys/project-keys.ts";
import type { KeyVersion } from "../keys/types.ts";
import { authorizedCall } from "../router/call.ts";
import { serve } from "../router/router.ts";
import type { ApiParts } from "./parts.ts";

const states: Readonly<Record<ListedKey["state"], keys.KeyState>> = {
  enabled: keys.KeyState.ENABLED,
  disabled: keys.KeyState.DISABLED,
  destroyed: keys.KeyState.DESTROYED,
  unreachable: keys.KeyState.UNREACHABLE,
};

export function keysService({ keys: projectKeys }: ApiParts) {
  const change = async (kind: "enable" | "disable" | "destroy", request: { version?: KeyVersion }) => {
    await projectKeys.change(kind, requireVersion(request.version));
    return {};
  };
  return serve(keys.KeysService, {
    listKeys: async () => ({
      provider: projectKeys.providerKind,
      keys: (await projectKeys.list()).map(({ key, version, state, isCurrent, scopes }) => ({
        version: { key, version },
        state: states[state],
        current: isCurrent,
        projects: scopes.map(projectOf),
      })),
    }),
    rotateKey: async (request) => ({ version: await projectKeys.rotate(request.key) }),
    disableKey: (request) => change("disable", request),
    enableKey: (request) => change("enable", request),
    destroyKey: (request) => change("destroy", request),
    assignKey: async (request, context) => {
      const { org } = authorizedCall(context);
      await projectKeys.assign(`${org}/${parseProjectId(request.project)}`, request.key);
      return {};
    },
  });
}

/** Scopes are `ORG/PROJECT`. */
function projectOf(scope: string): string {
  return scope.slice(scope.indexOf("/") + 1);
}

const versionCharactersMax = 256;

function requireVersion(version: KeyVersion | undefined): KeyVersion {
  const isGiven = version !== undefined && version.key !== "" && version.version !== "";
  if (isGiven && version.version.length <= versionCharactersMax) return version;
  throw new BiplaneError("invalid_argument", {
    what: "The request names no version of a key.",
    next: "Name key and version as `biplane keys list` shows them.",
  });
}
