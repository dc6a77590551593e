/** The committed list of what each entry contains is true, so that a new dependency is a line in review. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { expect, test } from "vitest";
import { entries } from "../../tools/build.ts";
import { dependenciesFolder, dependencyList } from "../../tools/dependencies.ts";
import { root } from "./sources.ts";

test.each(Object.entries(entries))(
  "docs/dependencies/%s.txt lists what the build contains",
  (name, entry) => {
    const metafile = JSON.parse(readFileSync(join(root, `dist/meta/${name}.json`), "utf8")) as Metafile;
    const committed = readFileSync(join(root, dependenciesFolder, `${name}.txt`), "utf8");
    expect(dependencyList(metafile, entry), "Run `npm run contents` and review the difference.").toBe(
      committed,
    );
  },
);

test("no list is left of an entry that is gone", () => {
  const listed = readdirSync(join(root, dependenciesFolder)).map((file) => file.replace(/\.txt$/, ""));
  expect(listed.filter((name) => !(name in entries))).toEqual([]);
});

test("no script is one that npm runs by itself after an installation: the lists would be written anew before they are compared", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
  const lifecycle = /^(dependencies|prepare|prepublish|(pre|post)?install)$/;
  expect(Object.keys(scripts).filter((name) => lifecycle.test(name))).toEqual([]);
});
