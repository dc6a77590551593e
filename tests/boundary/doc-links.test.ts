/** Links inside the repository's documents lead somewhere: to a file that is there, and to a heading that it has. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const documents = globSync("{*.md,docs/**/*.md,clients/**/*.md}", {
  cwd: root,
  exclude: (name) => /node_modules/.test(name),
});

/** As the hosts of repositories make them of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function deadLinksOf(document: string, text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target.replace(/\s/g, ""));
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? join(root, document) : join(root, dirname(document), path);
      if (!existsSync(file)) return true;
      return anchor !== undefined && !anchorsOf(readFileSync(file, "utf8")).includes(anchor);
    })
    .map((target) => `${document}: ${target}`);
}

test("every link of a document leads somewhere", () => {
  expect(documents).toContain("docs/README.md");
  expect(documents.flatMap((name) => deadLinksOf(name, readFileSync(join(root, name), "utf8")))).toEqual([]);
});

test("every page of docs/ is in its index, or in a folder that is", () => {
  const index = readFileSync(join(root, "docs/README.md"), "utf8");
  const pages = documents.filter((name) => /^docs\/(operate|develop)\//.test(name));
  expect(pages.filter((name) => !index.includes(`](${name.slice("docs/".length)})`))).toEqual([]);
});

test("control: a file and a heading that are not there are named", () => {
  const text =
    "[a](operate/nothing.md) [b](operate/audit.md#no-such-heading) [c](operate/audit.md#what-verify-checks)";
  expect(deadLinksOf("docs/README.md", text)).toEqual([
    "docs/README.md: operate/nothing.md",
    "docs/README.md: operate/audit.md#no-such-heading",
  ]);
});
