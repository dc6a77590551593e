/** What went into each shipped bundle, as esbuild's metafiles tell it, and the way by which it came in. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { root } from "./sources.ts";

export interface Bundle {
  readonly name: string;
  readonly entry: string;
  /** Files that left code in the bundle, and packages that it loads at run time as `external:NAME`. */
  readonly contents: ReadonlySet<string>;
  /** Why each file came in: importer to imported. */
  readonly graph: ReadonlyMap<string, readonly string[]>;
}

export function readBundle(name: string, entry: string): Bundle {
  const path = join(root, `dist/meta/${name}.json`);
  if (!existsSync(path)) throw new Error(`dist/meta/${name}.json is not there. Run \`npm run build\` first.`);
  return bundleOf(name, entry, JSON.parse(readFileSync(path, "utf8")) as Metafile);
}

export function bundleOf(name: string, entry: string, metafile: Metafile): Bundle {
  const graph = new Map<string, string[]>();
  for (const [path, { imports }] of Object.entries(metafile.inputs)) {
    const reached = imports
      .filter((found) => !found.path.startsWith("node:"))
      .map((found) => (found.external === true ? `external:${found.path}` : found.path));
    graph.set(path, reached);
  }
  const output = Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint === entry);
  if (output === undefined) throw new Error(`The metafile of ${name} has no entry ${entry}.`);
  const contents = new Set<string>();
  for (const [path, { bytesInOutput }] of Object.entries(output.inputs))
    if (bytesInOutput > 0) contents.add(path);
  for (const { path, external } of output.imports) {
    if (external === true && !isBuiltin(path)) contents.add(`external:${path}`);
  }
  return { name, entry, contents, graph };
}

function isBuiltin(path: string): boolean {
  return path.startsWith("node:") || builtins.has(path);
}
const builtins = new Set(process.getBuiltinModule("node:module").builtinModules);

/** The shortest way of imports from the entry to a module, for people who must mend it. */
export function importPath(bundle: Bundle, target: string): string[] {
  const previous = new Map<string, string>();
  const queue = [bundle.entry];
  for (let module = queue.shift(); module !== undefined; module = queue.shift()) {
    if (module === target) break;
    for (const next of bundle.graph.get(module) ?? []) {
      if (next === bundle.entry || previous.has(next)) continue;
      previous.set(next, module);
      queue.push(next);
    }
  }
  const path = [target];
  for (let at = previous.get(target); at !== undefined; at = previous.get(at)) path.unshift(at);
  return path;
}

/** Whether a module of a bundle lies in a folder of the repository or in an npm package. */
export function belongsTo(module: string, forbidden: string): boolean {
  if (module.startsWith("external:")) {
    const specifier = module.slice("external:".length);
    return specifier === forbidden || specifier.startsWith(`${forbidden}/`);
  }
  const installed = module.lastIndexOf("node_modules/");
  const within = installed === -1 ? module : module.slice(installed + "node_modules/".length);
  return within === forbidden || within.startsWith(`${forbidden}/`);
}
