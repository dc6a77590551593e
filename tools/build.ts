/**
 * Generates the wires from `proto/` and bundles each shipped entry into `dist/`, with its metafile in `dist/meta/`
 * for the boundary tests.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

/** Shipped entries. What runs in which plane is in the path. */
export const entries = {
  control: "planes/control/main.ts",
  edge: "tunnel/edge/main.ts",
  data: "planes/data/main.ts",
  worker: "worker/main.ts",
  sdk: "clients/sdk/index.ts",
  cli: "clients/cli/main.ts",
} as const;

/** Loaded from `node_modules` at run time: they bring files or native code of their own. */
const external = [
  "@electric-sql/pglite",
  "@electric-sql/pglite/*",
  "pg",
  "pino",
  "oidc-provider",
  "esbuild",
  "@duckdb/*",
];

export function generate(): void {
  for (const wire of ["control-wire", "data-wire"])
    rmSync(`contracts/${wire}/gen`, { recursive: true, force: true });
  buf("buf.gen.control.yaml", ["proto/biplane/classes", "proto/biplane/control"]);
  buf("buf.gen.data.yaml", ["proto/biplane/data", "proto/biplane/supplement", "proto/biplane/worker"]);
}

function buf(template: string, paths: readonly string[]): void {
  const pathArguments = paths.flatMap((path) => ["--path", path]);
  execFileSync("node_modules/.bin/buf", ["generate", "--template", template, ...pathArguments], {
    stdio: "inherit",
  });
}

export async function bundle(): Promise<void> {
  mkdirSync("dist/meta", { recursive: true });
  for (const [name, entry] of Object.entries(entries)) {
    if (!existsSync(entry)) continue;
    const result = await build({
      entryPoints: [entry],
      outfile: `dist/${name}.mjs`,
      bundle: true,
      platform: "node",
      target: "node24",
      format: "esm",
      sourcemap: true,
      keepNames: true,
      metafile: true,
      external: name === "worker" ? [...external, "@biplane/sdk"] : external,
      banner: {
        js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
      },
      logLevel: "warning",
    });
    writeFileSync(`dist/meta/${name}.json`, JSON.stringify(result.metafile));
  }
}

if (import.meta.main) {
  if (!process.argv.includes("--no-generate")) generate();
  await bundle();
}
