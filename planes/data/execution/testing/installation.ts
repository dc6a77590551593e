/** An installation for tests: the real worker with the tiny SDK, bundled once per test process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { createTar } from "nanotar";
import { afterAll } from "vitest";
import type { Installation } from "../sandbox/types.ts";

const repository = join(import.meta.dirname, "../../../..");
const banner = {
  js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
};

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

export async function buildInstallation(): Promise<Installation> {
  const dist = mkdtempSync(join(tmpdir(), "biplane-dist-"));
  made.push(dist);
  const entries = {
    worker: join(repository, "worker/main.ts"),
    sdk: join(import.meta.dirname, "tiny-sdk.ts"),
  };
  for (const [name, entry] of Object.entries(entries)) {
    await build({
      entryPoints: [entry],
      outfile: join(dist, `${name}.mjs`),
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node24",
      external: name === "worker" ? ["@biplane/sdk"] : [],
      banner,
      logLevel: "error",
    });
  }
  return { node: process.execPath, dist, taskModules: undefined };
}

/** A code bundle whose `main.mjs` is the source. */
export function makeBundle(source: string): Uint8Array {
  return gzipSync(createTar([{ name: "main.mjs", data: source }]));
}
