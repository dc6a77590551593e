/**
 * Makes `dist/worker.blob`: the memory of a Node process that has loaded worker and SDK. Sandboxes start from it in an
 * eighth of the processor time that loading both takes.
 */
import { execFileSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import type { BuildOptions } from "esbuild";
import { packSeldomNeeded, withoutFieldRules } from "./snapshot-plugins.ts";

const bundlePath = "dist/worker-snapshot.cjs";
const blobPath = "dist/worker.blob";

/** Node can't keep their native parts in a snapshot: they are loaded when they are first used. */
const deferred = ["http", "http2", "https", "module", "net", "tls"];

export const snapshotOptions = {
  outfile: bundlePath,
  format: "cjs",
  sourcemap: false,
  // The source lies in every worker's memory: a tenth of the time that a worker takes to start.
  minifySyntax: true,
  minifyWhitespace: true,
  // Costs each function a dictionary of its own, which every worker would copy.
  keepNames: false,
  inject: ["worker/headers.ts"],
  plugins: [packSeldomNeeded, withoutFieldRules],
  banner: { js: deferBuiltins() },
} as const satisfies BuildOptions;

/** Without one, workers load their parts at each start. */
export function makeWorkerSnapshot(): void {
  rmSync(blobPath, { force: true });
  try {
    const parameters = ["--snapshot-blob", `${blobPath}.new`, "--build-snapshot", bundlePath];
    execFileSync(process.execPath, parameters, { stdio: "pipe", timeout: 60_000 });
    renameSync(`${blobPath}.new`, blobPath);
  } catch (error) {
    console.error(
      `No snapshot of workers could be made, they will start slowly: ${(error as Error).message}`,
    );
  }
}

/** JavaScript that wraps the bundle's `require`. */
function deferBuiltins(): string {
  const names = deferred.map((name) => [name, Object.keys(process.getBuiltinModule(name) ?? {})]);
  return `require = (${requireDeferring})(require, ${JSON.stringify(Object.fromEntries(names))});`;
}

/** Runs inside the snapshot. `exportNames` by builtin module: what can be known without loading it. */
function requireDeferring(load: (name: string) => unknown, exportNames: Record<string, string[]>) {
  return (specifier: string): unknown => {
    const name = specifier.replace(/^node:/, "");
    const deferredNames = exportNames[name];
    if (deferredNames === undefined) return load(specifier);
    let loaded: Record<string, unknown> | undefined;
    const get = (key: string) => {
      loaded ??= process.getBuiltinModule(name) as unknown as Record<string, unknown>;
      return loaded[key];
    };
    const properties = deferredNames.map((key) => [key, { enumerable: true, get: () => get(key) }]);
    return Object.defineProperties({}, Object.fromEntries(properties));
  };
}
