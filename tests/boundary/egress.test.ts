/** The planes' own connections are opened in one module, and by the libraries that are listed (claim RES-4). */
import { expect, test } from "vitest";
import { dialers, dialingNames, dialingPackages, dialingText } from "./import-rules.ts";
import { isTest, readSources, type Source } from "./sources.ts";

const folders = ["planes/", "kit/", "tunnel/"];
const sources = readSources().filter(
  ({ path }) => !isTest(path) && folders.some((one) => path.startsWith(one)),
);

const namedImports = /import\s+\{([^}]*)\}\s+from\s+"(node:[a-z0-9]+)"/g;

/** What in a source could open a connection. */
function dialsOf({ text, imports }: Pick<Source, "text" | "imports">): string[] {
  const named = [...text.matchAll(namedImports)].flatMap(([, names = "", module = ""]) =>
    names
      .split(",")
      .map((name) => name.trim().split(/\s+as\s+/)[0] ?? "")
      .filter((name) => (dialingNames[module] ?? []).includes(name))
      .map((name) => `${name} of ${module}`),
  );
  const whole = /import\s+(?:\*\s+as\s+)?\w+\s+from\s+"(node:[a-z0-9]+)"/g;
  const modules = [...text.matchAll(whole)].flatMap(([, module = ""]) =>
    module in dialingNames ? [`all of ${module}`] : [],
  );
  const packages = imports.flatMap(({ specifier, typeOnly }) => {
    const found = dialingPackages.find((name) => specifier === name || specifier.startsWith(`${name}/`));
    return found === undefined || typeOnly ? [] : [specifier];
  });
  return [...named, ...modules, ...packages, ...(dialingText.test(text) ? ["fetch"] : [])];
}

test("nothing else in planes, kit and tunnel opens connections", () => {
  const found = sources.flatMap((source) =>
    source.path in dialers ? [] : dialsOf(source).map((what) => `${source.path} uses ${what}`),
  );
  expect(found, "dial through kit/egress.ts, or name the file with its reason in import-rules.ts").toEqual(
    [],
  );
});

test("every file that may dial does", () => {
  const stale = Object.keys(dialers).filter((path) => {
    const source = sources.find((one) => one.path === path);
    return source === undefined || dialsOf(source).length === 0;
  });
  expect(stale).toEqual([]);
});

test("control: each way of dialling is found", () => {
  const dials = (text: string, specifier = "node:net") =>
    dialsOf({ text, imports: [{ specifier, line: 1, typeOnly: false }] });
  expect(dials('import { isIP, connect as dial } from "node:net";')).toEqual(["connect of node:net"]);
  expect(dials('import https from "node:https";')).toEqual(["all of node:https"]);
  expect(dials('import * as tls from "node:tls";')).toEqual(["all of node:tls"]);
  expect(dials("const answer = await fetch(url);")).toEqual(["fetch"]);
  expect(dials("", "@aws-sdk/client-kms")).toEqual(["@aws-sdk/client-kms"]);
  expect(dials('import { createServer, isIP } from "node:net";')).toEqual([]);
});
