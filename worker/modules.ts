/**
 * Where a bundle's imports come from: the SDK that this worker loaded already, and native packages from the
 * installation. A second copy of the SDK would have a registry of tasks of its own and find none.
 */
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

export interface ModuleSources {
  /** The SDK's exports. */
  readonly sdk: Readonly<Record<string, unknown>>;
  /** Any path in the folder whose `node_modules` holds what bundles leave out; undefined where there is none. */
  readonly installation: string | undefined;
}

export const sdkUrl = "biplane:sdk";
/** Where the module that stands for the SDK finds its exports. */
const exportsName = "biplane.sdk";

export function installModuleSources({ sdk, installation }: ModuleSources): void {
  const installationUrl = installation === undefined ? undefined : pathToFileURL(`${installation}/`).href;
  Object.defineProperty(globalThis, Symbol.for(exportsName), { value: sdk });
  const source = `export const { ${Object.keys(sdk).join(", ")} } = globalThis[Symbol.for("${exportsName}")];`;
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
    load(url, context, nextLoad) {
      return url === sdkUrl ? { format: "module", source, shortCircuit: true } : nextLoad(url, context);
    },
  });
}

function isBare(specifier: string): boolean {
  return !/^(\.|\/|[a-z]+:)/i.test(specifier);
}
