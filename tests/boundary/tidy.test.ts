/** Holds the parts of the style that a machine can judge: size, headers, and bans with their replacements. */
import { parseSync } from "oxc-parser";
import { expect, test } from "vitest";
import { isTest, lineAt, readSources, type Source, visit } from "./sources.ts";
import { fileLinesMax, functionLinesMax, type TextRule, textRules } from "./tidy-rules.ts";

const sources = readSources();
const functionTypes = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

function longFunctions({ path, text }: Source): string[] {
  const found: string[] = [];
  visit(parseSync(path, text).program, (node) => {
    if (!functionTypes.has(node.type)) return;
    const first = lineAt(text, node.start);
    const lines = lineAt(text, node.end) - first + 1;
    // A suite is a table of behaviours; its tests are functions of their own and are measured.
    if (lines > functionLinesMax && !isSuite(text, node.start)) {
      found.push(
        `${path}:${first} a function of ${lines} lines; at most ${functionLinesMax}. Split it by what its parts do.`,
      );
    }
  });
  return found;
}

function isSuite(text: string, start: number): boolean {
  return /\b(describe\w*(\.each\([^)]*\))?|suite)\((["'`][^\n]*,|[^\n]*,)?\s*(async )?$/.test(
    text.slice(Math.max(0, start - 300), start),
  );
}

function brokenTextRules(source: Source, rules: readonly TextRule[]): string[] {
  return rules.flatMap(({ pattern, folders, shippedOnly, except, instead }) => {
    if (folders !== undefined && !folders.some((folder) => source.path.startsWith(`${folder}/`))) return [];
    if ((shippedOnly === true && isTest(source.path)) || except?.includes(source.path)) return [];
    const match = pattern.exec(source.text);
    if (match === null) return [];
    return [
      `${source.path}:${lineAt(source.text, match.index)} holds ${JSON.stringify(match[0].trim())}. Instead: ${instead}.`,
    ];
  });
}

/** Whether the file says why it exists: at its top, or where its imports end. */
function hasHeader({ text }: Source): boolean {
  if (/^(#![^\n]*\n)?\s*(\/\*\*|\/\/)/.test(text)) return true;
  const body = text.replace(
    /^(\s*(import|export)\b[^;]*?\bfrom\s+["'][^"']+["'];|\s*import\s+["'][^"']+["'];)+/,
    "",
  );
  return /^\s*(\/\*\*|\/\/)/.test(body) || body.trim() === "";
}

test("no file is longer than a person reads in one go", () => {
  const long = sources
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    .filter(({ lines }) => lines > fileLinesMax)
    .map(({ path, lines }) => `${path} has ${lines} lines; at most ${fileLinesMax}. Split it by reason.`);
  expect(long).toEqual([]);
});

test("no function is longer than a screen", () => {
  expect(sources.flatMap(longFunctions)).toEqual([]);
});

test("every shipped file says why it exists", () => {
  const silent = sources
    .filter((source) => !isTest(source.path) && !hasHeader(source))
    .map(({ path }) => path);
  expect(silent).toEqual([]);
});

test("nothing that has a better replacement is used", () => {
  const judged = sources.filter(
    ({ path }) => path !== "tests/boundary/tidy-rules.ts" && path !== "tests/boundary/tidy.test.ts",
  );
  expect(judged.flatMap((source) => brokenTextRules(source, textRules))).toEqual([]);
});

test("control: a long function, a missing header and each ban are reported with line and replacement", () => {
  const body = Array.from({ length: functionLinesMax + 1 }, () => "  work();").join("\n");
  const source: Source = {
    path: "planes/data/example.ts",
    text: `import "x";\nfunction long() {\n${body}\n}\n`,
    imports: [],
  };
  expect(longFunctions(source)[0]).toContain("planes/data/example.ts:2 a function of 73 lines");
  expect(hasHeader(source)).toBe(false);
  const banned = [
    'import { createServer } from "node:http";',
    "console.log(1)",
    "Math.random()",
    "test.skip(",
    "rejectUnauthorized: false",
  ];
  for (const text of banned) {
    const [message] = brokenTextRules({ ...source, text: `\n${text}` }, textRules);
    expect(message).toMatch(/^planes\/data\/example\.ts:2 holds .* Instead: /);
  }
});
