/** The repository's sources as the boundary tests see them: which files there are, what they import, what they hold. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";
import { parseSync } from "oxc-parser";

export const root = resolve(import.meta.dirname, "../..");

const sourceFolders = "{contracts,kit,planes,tunnel,worker,clients,verify,examples,bench,tests,tools}";

export interface ImportOf {
  readonly specifier: string;
  readonly line: number;
  /** Erased before anything runs: no cycle at run time, but still knowledge of the other side. */
  readonly typeOnly: boolean;
}

export interface Source {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly ImportOf[];
}

/** Every file that people wrote; generated and built ones are left out. */
export function readSources(): Source[] {
  const paths = globSync([`${sourceFolders}/**/*.{ts,tsx,mjs}`, "*.ts"], {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|dist|gen)$/.test(String(path)),
  });
  return paths
    .map(String)
    .filter((path) => !/(^|\/)(node_modules|dist|gen)\//.test(path))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return { path, text, imports: importsOf(path, text) };
    });
}

export function isTest(path: string): boolean {
  return path.startsWith("tests/") || /\.(test|testing)\.tsx?$/.test(path) || path.includes("/testing/");
}

export function importsOf(path: string, text: string): ImportOf[] {
  const { module, program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} can't be parsed: ${errors[0]!.message}`);
  const found: ImportOf[] = [];
  for (const { moduleRequest, entries, start } of module.staticImports) {
    const typeOnly = entries.length > 0 && entries.every((entry) => entry.isType);
    found.push({ specifier: moduleRequest.value, line: lineAt(text, start), typeOnly });
  }
  for (const { entries, start } of module.staticExports) {
    for (const entry of entries) {
      const specifier = entry.moduleRequest?.value;
      if (specifier !== undefined)
        found.push({ specifier, line: lineAt(text, start), typeOnly: entry.isType });
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const literal = /^["'`]([^"'`$]+)["'`]$/.exec(text.slice(moduleRequest.start, moduleRequest.end));
    if (literal !== null)
      found.push({ specifier: literal[1]!, line: lineAt(text, moduleRequest.start), typeOnly: false });
  }
  visit(program, (node) => {
    if (node.type !== "TSImportType") return;
    const specifier = (node["source"] as { value?: string } | undefined)?.value;
    if (specifier !== undefined) found.push({ specifier, line: lineAt(text, node.start), typeOnly: true });
  });
  return found;
}

export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

/** Calls back for each node below and including this one. */
export function visit(node: unknown, each: (node: SyntaxNode) => void): void {
  if (Array.isArray(node)) {
    for (const item of node) visit(item, each);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  if (typeof (node as SyntaxNode).type === "string") each(node as SyntaxNode);
  for (const value of Object.values(node)) if (typeof value === "object") visit(value, each);
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let index = text.indexOf("\n"); index !== -1 && index < offset; index = text.indexOf("\n", index + 1))
    line += 1;
  return line;
}

export interface Workspace {
  readonly name: string;
  readonly folder: string;
  readonly dependencies: ReadonlySet<string>;
}

export function readWorkspaces(): Workspace[] {
  const manifest = readManifest("package.json");
  const folders = globSync(manifest.workspaces ?? [], { cwd: root }).map(String);
  return folders.sort().map((folder) => {
    const { name, dependencies, optionalDependencies, peerDependencies } = readManifest(
      `${folder}/package.json`,
    );
    const declared = { ...dependencies, ...optionalDependencies, ...peerDependencies };
    return { name: name ?? folder, folder, dependencies: new Set(Object.keys(declared)) };
  });
}

export interface Manifest {
  readonly name?: string;
  readonly workspaces?: string[];
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  /** Of a lock. */
  readonly packages?: Record<string, unknown>;
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest;
}

export type Target =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "package"; readonly name: string }
  | { readonly kind: "builtin"; readonly name: string };

/** What an import reaches: a file of the repository, an npm package, or a module of Node. */
export function resolveImport(from: string, specifier: string, workspaces: readonly Workspace[]): Target {
  if (specifier.startsWith("node:")) return { kind: "builtin", name: specifier };
  if (specifier.startsWith(".")) return { kind: "file", path: normalize(join(dirname(from), specifier)) };
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const workspace = workspaces.find((candidate) => candidate.name === name);
  if (workspace === undefined) return { kind: "package", name };
  const inside = specifier.slice(name.length + 1);
  const file =
    inside === "" ? "index.ts" : /\.[jt]sx?$/.test(inside) ? inside.replace(/\.js$/, ".ts") : `${inside}.ts`;
  return { kind: "file", path: `${workspace.folder}/${file}` };
}
