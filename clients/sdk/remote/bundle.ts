/** A module and everything it imports as one code bundle: `main.mjs` in a tar, equal bytes for equal code. */
import { createHash } from "node:crypto";
import { access } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { BiplaneError, limits } from "@biplane/base";
import type { BuildFailure, Message } from "esbuild";
import { createTar } from "nanotar";

export interface CodeBundle {
  /** The entry's absolute path. */
  readonly entry: string;
  /** Names the code: equal code has an equal version. */
  readonly version: string;
  readonly main: Uint8Array;
  /** `tar.gz` of `main.mjs` and `manifest.json`. */
  readonly archive: Uint8Array;
}

/** Left to the cluster's installation: the SDK that the worker has loaded, and packages with native code. */
const alwaysExternal = ["@biplane/sdk", "@duckdb/*"];

export async function bundleModule(path: string, external: readonly string[] = []): Promise<CodeBundle> {
  const entry = resolve(path);
  await access(entry).catch((cause: unknown) => {
    throw new BiplaneError("not_found", `There is no file ${entry}.`, { cause });
  });
  const main = await compile(entry, [...alwaysExternal, ...external]);
  const version = createHash("sha256").update(main).digest("hex").slice(0, 32);
  const manifest = JSON.stringify({ version: 1, code: version });
  const tar = createTar([
    { name: "main.mjs", data: main, attrs: { mtime: 0 } },
    { name: "manifest.json", data: manifest, attrs: { mtime: 0 } },
  ]);
  const archive = gzipSync(tar, { level: 6 });
  if (archive.byteLength > limits.bundleBytesMax) {
    throw new BiplaneError("resource_exhausted", {
      what: `The code bundle has ${archive.byteLength} bytes; ${limits.bundleBytesMax} are allowed.`,
      next: "Leave large packages out with --external and install them beside the cluster's worker.",
    });
  }
  return { entry, version, main, archive };
}

async function compile(entry: string, external: string[]): Promise<Uint8Array> {
  const from = JSON.stringify(entry);
  const { build } = await loadBundler();
  const result = await build({
    stdin: {
      // Tasks without a name take their export's.
      contents: `import * as module from ${from}; import { registerModule } from "@biplane/sdk"; registerModule(module); export * from ${from};`,
      resolveDir: dirname(entry),
      sourcefile: "bundle-entry.ts",
      loader: "ts",
    },
    bundle: true,
    write: false,
    platform: "node",
    target: "node24",
    format: "esm",
    keepNames: true,
    // Errors name lines of the module that was written, not of the bundle.
    sourcemap: "inline",
    sourcesContent: false,
    // Paths of this machine must not reach the bundle, and equal code must give equal bytes everywhere.
    absWorkingDir: dirname(entry),
    external,
    logLevel: "silent",
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  }).catch((cause: BuildFailure) => Promise.reject(compileFailure(entry, cause)));
  const [output] = result.outputFiles;
  if (output === undefined) throw new BiplaneError("internal", "The bundler gave no output.");
  return output.contents;
}

/** Only when it is needed: programs that run deployed tasks need not have it. */
function loadBundler(): Promise<typeof import("esbuild")> {
  return import("esbuild").catch((cause: unknown) => {
    throw new BiplaneError(
      "failed_precondition",
      {
        what: "This program has no esbuild, which makes code bundles.",
        next: "Install esbuild beside the program; or deploy the module by `biplane deploy`, and run its tasks by name.",
      },
      { cause },
    );
  });
}

function compileFailure(entry: string, cause: BuildFailure): BiplaneError {
  const errors = cause.errors ?? [];
  const isUnresolved = errors.some(({ text }) => text.startsWith("Could not resolve"));
  return new BiplaneError(
    "invalid_argument",
    {
      what: `${entry} can't be bundled.`,
      why: errors.slice(0, 5).map(problemText).join("\n        ") || String(cause),
      next: isUnresolved
        ? "Install the package beside the module; one that only the cluster has needs --external NAME."
        : "Correct the module; packages with native code need --external NAME.",
    },
    { cause },
  );
}

/** `orders.ts:3:12: Unexpected ";"   return n +;` */
function problemText({ location, text }: Message): string {
  if (location === null) return text;
  const { file, line, column, lineText } = location;
  return `${file}:${line}:${column + 1}: ${text}${lineText.trim() === "" ? "" : `   ${lineText.trim().slice(0, 80)}`}`;
}
