/** Loads a code bundle into this process to learn which tasks it has, the way a worker would load it. */

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire, registerHooks, setSourceMapsSupport } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BiplaneError, isBiplaneError } from "@biplane/base";
import type { describeTasks, TaskDescription } from "../tasks/describe.ts";
import type { TaskPlace } from "../tasks/specification.ts";
import type { CodeBundle } from "./bundle.ts";

type BuiltSdk = {
  readonly describeTasks: typeof describeTasks;
  readonly unnamedTasks: () => readonly string[];
};

/** The bundle's exported tasks, for code that lies at `place`. */
export async function tasksOfBundle(
  bundle: CodeBundle,
  place: TaskPlace,
): Promise<readonly TaskDescription[]> {
  const sdkUrl = pathToFileURL(builtSdkFile(bundle.entry)).href;
  const folder = await mkdtemp(join(tmpdir(), "biplane-bundle-"));
  const file = join(folder, "main.mjs");
  const hooks = registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier === "@biplane/sdk") return { url: sdkUrl, format: "module", shortCircuit: true };
      const isFromBundle =
        context.parentURL === pathToFileURL(file).href && !/^(\.|\/|[a-z]+:)/.test(specifier);
      if (!isFromBundle) return nextResolve(specifier, context);
      return nextResolve(specifier, { ...context, parentURL: pathToFileURL(bundle.entry).href });
    },
  });
  try {
    await writeFile(file, bundle.main);
    const sdk = (await import(sdkUrl)) as BuiltSdk;
    const unnamedBefore = sdk.unnamedTasks().length;
    setSourceMapsSupport(true);
    const module = await load(bundle.entry, file);
    const unnamed = sdk.unnamedTasks().slice(unnamedBefore);
    if (unnamed.length > 0) throw nameless(bundle.entry, unnamed);
    return sdk.describeTasks(module, place);
  } catch (cause) {
    if (isBiplaneError(cause)) throw cause;
    throw new BiplaneError(
      "invalid_argument",
      {
        what: `${bundle.entry} has a task that can't be run.`,
        why: cause instanceof Error ? cause.message : String(cause),
      },
      { cause },
    );
  } finally {
    hooks.deregister();
    await rm(folder, { recursive: true, force: true });
  }
}

async function load(entry: string, file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw new BiplaneError(
      "invalid_argument",
      {
        what: `${entry} can't be loaded.`,
        why: `${cause}${placeIn(cause, file)}.`,
        next: "It is loaded to learn its tasks: what it does on import has to work on this machine too.",
      },
      { cause },
    );
  }
}

/** Where in the module, by its own lines. */
function placeIn(cause: unknown, file: string): string {
  const folder = `${dirname(file)}/`;
  const frame = (cause instanceof Error ? (cause.stack ?? "") : "")
    .split("\n")
    .find((line) => line.trimStart().startsWith("at ") && line.includes(folder));
  const place = frame?.slice(frame.indexOf(folder) + folder.length).replace(/\)$/, "");
  return place === undefined ? "" : ` (${place})`;
}

function nameless(entry: string, places: readonly string[]): BiplaneError {
  const shown = places.slice(0, 5).map((place) => basename(place));
  return new BiplaneError("invalid_argument", {
    what: `${entry} has tasks without a name: ${shown.join(", ")}.`,
    why: "A task is found by its name, which is that of its export unless it is given one.",
    next: "Export them, or define them with `name`.",
  });
}

/** Beside this program where it is built, in `dist` where it runs from sources, or of the checkout that has the module. */
function builtSdkFile(entry: string): string {
  const here = fileURLToPath(import.meta.url);
  const sources = resolved(entry, "@biplane/sdk");
  const candidates = [
    join(here, "../sdk.mjs"),
    join(here, "../../../../dist/sdk.mjs"),
    ...(sources === undefined ? [] : [join(dirname(sources), "../../dist/sdk.mjs")]),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return found;
  throw new BiplaneError("failed_precondition", {
    what: `The tasks of ${entry} can't be read: the SDK's build is neither beside this program nor where the module finds @biplane/sdk.`,
    next: "Run `npm run build` in the checkout that has it; or deploy the module by `biplane deploy`, and run its tasks by name.",
  });
}

function resolved(from: string, specifier: string): string | undefined {
  try {
    return createRequire(from).resolve(specifier);
  } catch {
    return undefined;
  }
}
