/** Who may import whom (architecture: the folders), read from the sources, types included; and that nothing turns in circles. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findCycles } from "./cycles.ts";
import { importRules, pureContractBans, ruleFor } from "./import-rules.ts";
import {
  isTest,
  readManifest,
  readSources,
  readWorkspaces,
  resolveImport,
  root,
  type Source,
  type Workspace,
} from "./sources.ts";

const sources = readSources();
const workspaces = readWorkspaces();
const shipped = sources.filter(({ path }) => !isTest(path));

function targets(source: Source) {
  return source.imports.map((found) => ({
    ...found,
    target: resolveImport(source.path, found.specifier, workspaces),
  }));
}

/** One line per import that the rules of its folder do not allow. */
function forbiddenImports(source: Source): string[] {
  const rule = ruleFor(source.path);
  if (rule === undefined)
    return [`${source.path}: no import rule covers this folder; add one to import-rules.ts.`];
  return targets(source).flatMap(({ target, line }) => {
    if (target.kind !== "file" || isWithin(target.path, rule.folder)) return [];
    const denied = (rule.never ?? []).find((folder) => isWithin(target.path, folder));
    const allowed =
      rule.mayImport === "anything" || rule.mayImport.some((folder) => isWithin(target.path, folder));
    if (allowed && denied === undefined) return [];
    return [
      `${source.path}:${line} imports ${target.path}. ${rule.folder} ${rule.reason} Instead: ${rule.remedy}`,
    ];
  });
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

test("every import keeps to the rules of its folder, types included", () => {
  expect(shipped.flatMap(forbiddenImports)).toEqual([]);
});

test("control: a control plane that names a data-wire type is reported with file, reason and remedy", () => {
  const source: Source = {
    path: "planes/control/runs/leak.ts",
    text: "",
    imports: [{ specifier: "@biplane/data-wire", line: 3, typeOnly: true }],
  };
  const [message] = forbiddenImports(source);
  expect(message).toContain("planes/control/runs/leak.ts:3 imports contracts/data-wire/index.ts");
  expect(message).toContain("Instead:");
});

test("every import rule covers a folder that exists, and names folders that exist", () => {
  const named = importRules.flatMap(({ folder, mayImport, never }) => [
    folder,
    ...(mayImport === "anything" ? [] : mayImport),
    ...(never ?? []),
  ]);
  expect(named.filter((folder) => !existsSync(join(root, folder)))).toEqual([]);
});

test("contracts are pure: no files, sockets, processes, clocks or environment", () => {
  const impure = shipped
    .filter(({ path }) => path.startsWith("contracts/"))
    .flatMap((source) => [
      ...targets(source)
        .filter(
          ({ target, typeOnly }) =>
            !typeOnly && target.kind === "builtin" && pureContractBans.modules.has(target.name),
        )
        .map(({ specifier, line }) => `${source.path}:${line} imports ${specifier}`),
      ...pureContractBans.texts
        .filter((pattern) => pattern.test(source.text))
        .map((pattern) => `${source.path} holds ${pattern}`),
    ]);
  expect(impure).toEqual([]);
});

test("no file is part of an import cycle at run time", () => {
  const graph = new Map(
    shipped.map((source) => [
      source.path,
      targets(source).flatMap(({ target, typeOnly }) =>
        target.kind === "file" && !typeOnly ? [target.path] : [],
      ),
    ]),
  );
  expect(findCycles(graph)).toEqual([]);
});

test("no workspace is part of an import cycle, types included", () => {
  const folderOf = (path: string) => workspaces.find(({ folder }) => isWithin(path, folder))?.folder;
  const graph = new Map<string, string[]>(workspaces.map(({ folder }) => [folder, []]));
  for (const source of shipped) {
    const from = folderOf(source.path);
    for (const { target } of targets(source)) {
      const to = target.kind === "file" ? folderOf(target.path) : undefined;
      if (from !== undefined && to !== undefined && from !== to) graph.get(from)!.push(to);
    }
  }
  expect(findCycles(graph)).toEqual([]);
});

test("control: a circle of three is found and drawn", () => {
  const graph = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["a"]],
    ["d", ["a"]],
  ]);
  expect(findCycles(graph)).toEqual(["a -> b -> c -> a"]);
});

const development = new Set(Object.keys(readManifest("package.json").devDependencies ?? {}));

test("every workspace declares what it imports", () => {
  const undeclared = workspaces.flatMap((workspace) =>
    packageImports(workspace)
      .filter(({ name, path }) => !isDeclared(workspace, name, path))
      .map(
        ({ name, at }) => `${at} imports ${name}, which ${workspace.folder}/package.json does not declare.`,
      ),
  );
  expect(undeclared).toEqual([]);
});

test("every workspace imports what it declares", () => {
  const stale = workspaces.flatMap((workspace) => {
    const used = new Set(packageImports(workspace).map(({ name }) => name));
    return [...workspace.dependencies]
      .filter((name) => !used.has(name) && !usedWithoutImport.has(`${workspace.folder} ${name}`))
      .map((name) => `${workspace.folder}/package.json declares ${name}, which nothing there imports.`);
  });
  expect(stale).toEqual([]);
});

/** Dependencies that no hand-written import names, each for its reason. */
const usedWithoutImport = new Map([
  ["contracts/data-wire @biplane/control-wire", "generated code takes the classes from there"],
  ["examples/flights vega-datasets", "it holds the example's data and no code"],
]);

function isDeclared(workspace: Workspace, name: string, path: string): boolean {
  if (workspace.dependencies.has(name)) return true;
  return isTest(path) && (development.has(name) || name.startsWith("@biplane/"));
}

function packageImports(workspace: Workspace): { name: string; path: string; at: string }[] {
  return sources
    .filter(({ path }) => isWithin(path, workspace.folder))
    .flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, line }) => {
        const name = packageNameOf(specifier);
        return name === undefined || name === workspace.name ? [] : [{ name, path, at: `${path}:${line}` }];
      }),
    );
}

function packageNameOf(specifier: string): string | undefined {
  if (specifier.startsWith("node:") || specifier.startsWith(".")) return undefined;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}
