/**
 * Where a bundle's imports come from: the SDK that this worker loaded already, and native packages from the
 * installation. A second copy of the SDK would have a registry of tasks of its own and find none.
 */
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

export interface ModuleSources {
  /** File of the SDK. */
  readonly sdk: string;
  /** Any path in the folder whose `node_modules` holds what bundles leave out; undefined where there is none. */
  readonly installation: string | undefined;
}

export function installModuleSources(sources: ModuleSources): void {
  const sdkUrl = pathToFileURL(sources.sdk).href;
  const installationUrl =
    sources.installation === undefined ? undefined : pathToFileURL(`${sources.installation}/`).href;
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier === "@biplane/sdk") return { url: sdkUrl, format: "module", shortCircuit: true };
      try {
        return nextResolve(specifier, context);
      } catch (error) {
        if (installationUrl === undefined || !isBare(specifier)) throw error;
        return nextResolve(specifier, { ...context, parentURL: installationUrl });
      }
    },
  });
}

function isBare(specifier: string): boolean {
  return !/^(\.|\/|[a-z]+:)/i.test(specifier);
}
