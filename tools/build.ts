/**
 * Generates the wires from `proto/`, checks that everything has a class, and bundles each shipped entry into `dist/`, with
 * its metafile in `dist/meta/` for the boundary tests.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { makeWorkerSnapshot, snapshotOptions } from "./worker-snapshot.ts";

/** Shipped entries. What runs in which plane is in the path. */
export const entries = {
  control: "planes/control/main.ts",
  edge: "tunnel/edge/main.ts",
  data: "planes/data/main.ts",
  worker: "worker/main.ts",
  "worker-snapshot": "worker/snapshot.ts",
  "first-process": "worker/first-process.ts",
  sdk: "clients/sdk/index.ts",
  cli: "clients/cli/main.ts",
  demo: "clients/demo/main.ts",
  verify: "verify/main.ts",
  "embedded-database-thread": "kit/embedded-database-thread.ts",
  "sealing-thread": "planes/data/objects/store/sealing-thread.ts",
  "sandbox-spawner": "planes/data/execution/sandbox/spawner-process.ts",
} as const;

/** Loaded from `node_modules` at run time: they bring files or native code of their own. */
export const externalPackages: readonly string[] = [
  "@electric-sql/pglite",
  "@electric-sql/pglite/*",
  "pg",
  "pino",
  "pkcs11js",
  "@cedar-policy/cedar-wasm/nodejs",
  "esbuild",
  "@duckdb/*",
];

const stampPath = "contracts/data-wire/gen/sources.sha256";

/** Generates the wires where a source has changed: tests and tools beside this one never see half of a wire. */
export function generate(): void {
  const sources = globSync(["proto/**/*.proto", "buf*.yaml", "package-lock.json"]).sort();
  const hash = createHash("sha256");
  for (const path of sources) hash.update(path).update(readFileSync(path));
  const stamp = hash.digest("hex");
  if (existsSync(stampPath) && readFileSync(stampPath, "utf8") === stamp) return;
  for (const wire of ["control-wire", "data-wire"])
    rmSync(`contracts/${wire}/gen`, { recursive: true, force: true });
  buf("buf.gen.control.yaml", ["proto/biplane/classes", "proto/biplane/control"]);
  buf("buf.gen.data.yaml", ["proto/biplane/data", "proto/biplane/supplement", "proto/biplane/worker"]);
  writeFileSync(stampPath, stamp);
}

function buf(template: string, paths: readonly string[]): void {
  const pathArguments = paths.flatMap((path) => ["--path", path]);
  execFileSync("node_modules/.bin/buf", ["generate", "--template", template, ...pathArguments], {
    stdio: "inherit",
  });
}

/** How an entry becomes one file. Boundary tests build their controls by the same options. */
export function bundleOptions(entry: string, outfile: string, external = externalPackages) {
  return {
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    sourcemap: true,
    keepNames: true,
    metafile: true,
    external: [...external],
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
    logLevel: "warning",
  } as const satisfies BuildOptions;
}

export async function bundle(): Promise<void> {
  mkdirSync("dist/meta", { recursive: true });
  for (const [name, entry] of Object.entries(entries)) {
    if (!existsSync(entry)) continue;
    const result = await build(optionsOf(name, entry));
    writeFileSync(`dist/meta/${name}.json`, JSON.stringify(result.metafile));
  }
}

function optionsOf(name: string, entry: string): BuildOptions & { metafile: true } {
  if (name === "worker-snapshot")
    return { ...bundleOptions(entry, "", externalPackages), ...snapshotOptions };
  const external = name === "worker" ? [...externalPackages, "@biplane/sdk"] : externalPackages;
  return bundleOptions(entry, `dist/${name}.mjs`, external);
}

const databaseTemplate = "dist/embedded-database.tar.gz";

/** An empty embedded database, so that no first start has to make one; again when what makes it has changed. */
export async function packDatabase(): Promise<void> {
  const sources = ["node_modules/@electric-sql/pglite/package.json", "kit/embedded-database-thread.ts"];
  const made = statSync(databaseTemplate, { throwIfNoEntry: false });
  if (made !== undefined && sources.every((path) => made.mtimeMs > statSync(path).mtimeMs)) return;
  mkdirSync("dist", { recursive: true });
  // The new one is not to be made of the old one.
  rmSync(databaseTemplate, { force: true });
  const { createTarGzip } = await import("nanotar");
  const { openSyncedDatabase } = await import("../kit/embedded-database-thread.ts");
  const folder = mkdtempSync(join(tmpdir(), "biplane-database-"));
  try {
    const database = await openSyncedDatabase(folder);
    // One that was closed starts without a recovery.
    await database.close();
    writeFileSync(`${databaseTemplate}.new`, await createTarGzip(filesIn(folder)));
    renameSync(`${databaseTemplate}.new`, databaseTemplate);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function filesIn(folder: string): { name: string; data?: Uint8Array }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path);
    return entry.isDirectory() ? { name: `${name}/` } : { name, data: readFileSync(path) };
  });
}

/** Ends the build where something that is served, stored, logged or audited has no class (claim CLS-1). */
export function checkRegister(): void {
  const parameters = ["--import", "./tools/typescript.mjs", "tools/register/check.ts"];
  const check = spawnSync(process.execPath, [...parameters, databaseTemplate, "dist/schemas.json"], {
    stdio: "inherit",
  });
  if (check.status !== 0) process.exit(1);
}

if (import.meta.main) {
  if (!process.argv.includes("--no-generate")) generate();
  await packDatabase();
  checkRegister();
  await bundle();
  makeWorkerSnapshot();
}
