/** No shipped entry contains what its plane must not know, however indirectly (claims CLS-2, CLS-4, FLOW-1). */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { bundleOptions, entries } from "../../tools/build.ts";
import { type Ban, bans } from "./bans.ts";
import { type Bundle, belongsTo, bundleOf, importPath, readBundle } from "./bundles.ts";
import { readManifest, root } from "./sources.ts";

const names = Object.keys(bans) as (keyof typeof bans)[];

/** One message per banned part that is in the bundle: the module, the way in, why not, and what instead. */
function violations(bundle: Bundle, list: readonly Ban[]): string[] {
  return list.flatMap(({ forbidden, reason, remedy }) => {
    const module = [...bundle.contents].find((candidate) => belongsTo(candidate, forbidden));
    if (module === undefined) return [];
    const way = importPath(bundle, module).join("\n    -> ");
    return [
      `${bundle.name} contains ${module} (banned: ${forbidden}), because ${reason}.\n    ${way}\n  Instead: ${remedy}.`,
    ];
  });
}

describe.each(names)("the bundle of %s", (name) => {
  test("holds nothing that its bans name", () => {
    expect(violations(readBundle(name, entries[name]), bans[name])).toEqual([]);
  });

  test("has no stale ban: each names something that exists and that could come in", () => {
    const installed = Object.keys(readManifest("package-lock.json").packages ?? {});
    const stale = bans[name].filter(({ forbidden }) => {
      if (existsSync(join(root, forbidden))) return false;
      return !installed.some((path) => path.includes("node_modules/") && belongsTo(path, forbidden));
    });
    expect(stale.map(({ forbidden }) => forbidden)).toEqual([]);
  });
});

test("every entry that is built has bans", () => {
  // The demo is no part of any plane; verify does what the planes must not, to show that it would be noticed.
  const unbound = ["demo", "verify"];
  const unchecked = Object.keys(entries).filter((name) => !(name in bans) && !unbound.includes(name));
  expect(unchecked).toEqual([]);
});

test("control: a control plane that links the data wire fails, with the way by which it came in", async () => {
  const entry = "tests/boundary/controls/leaking-control-plane.ts";
  const result = await build({ ...bundleOptions(entry, "unused.mjs"), write: false, absWorkingDir: root });
  const messages = violations(bundleOf("control", entry, result.metafile), bans.control);
  const message = messages.find((text) => text.includes("banned: contracts/data-wire"));
  expect(message).toContain(`${entry}\n    -> contracts/data-wire/index.ts`);
  expect(message).toContain("Instead: project it");
});
