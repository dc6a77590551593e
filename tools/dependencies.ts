/**
 * Writes `docs/dependencies/ENTRY.txt`: which workspaces and npm packages each shipped entry contains. The lists are
 * committed, so that growth shows in review; a boundary test compares them with the build. Run after `npm run build`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Metafile } from "esbuild";
import { entries } from "./build.ts";

export const dependenciesFolder = "docs/dependencies";

/** One line per workspace and package, sorted; `(loaded)` marks packages that stay outside the bundle. */
export function dependencyList(metafile: Metafile, entry: string): string {
  const output = Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint === entry);
  if (output === undefined) throw new Error(`${entry} is in no output. Run \`npm run build\` first.`);
  const bundled = Object.entries(output.inputs)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => ownerOf(path));
  const loaded = output.imports
    .filter(({ path, external }) => external === true && !isBuiltin(path))
    .map(({ path }) => `${packageOf(path)} (loaded)`);
  return `${[...new Set([...bundled, ...loaded])].sort().join("\n")}\n`;
}

const builtins = new Set(process.getBuiltinModule("node:module").builtinModules);

function isBuiltin(path: string): boolean {
  return path.startsWith("node:") || builtins.has(path);
}

function ownerOf(path: string): string {
  const installed = path.lastIndexOf("node_modules/");
  if (installed !== -1) return packageOf(path.slice(installed + "node_modules/".length));
  const depth = /^(contracts|planes|tunnel|clients|examples)\//.test(path) ? 2 : 1;
  return `./${path.split("/").slice(0, depth).join("/")}`;
}

function packageOf(path: string): string {
  return path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
}

if (import.meta.main) {
  mkdirSync(dependenciesFolder, { recursive: true });
  for (const [name, entry] of Object.entries(entries)) {
    const metafile = JSON.parse(readFileSync(`dist/meta/${name}.json`, "utf8")) as Metafile;
    writeFileSync(`${dependenciesFolder}/${name}.txt`, dependencyList(metafile, entry));
  }
}
