import { Script } from "node:vm";
import { type BuildOptions, build } from "esbuild";
import { XMLParser } from "fast-xml-parser";
import { expect, test } from "vitest";
import { z } from "zod";
import { packSeldomNeeded, withoutFieldRules } from "./snapshot-plugins.ts";

/** What a file exports after it was bundled, and the bundle's text. */
async function bundled(contents: string, plugins: NonNullable<BuildOptions["plugins"]>) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: "clients/sdk", loader: "ts" },
    ...{ bundle: true, write: false, platform: "node", format: "cjs", plugins },
  });
  const text = outputFiles[0]!.text;
  const module = { exports: {} as Record<string, unknown> };
  const run = new Script(`(function (require, module) {${text}\n})`).runInThisContext();
  run((name: string) => process.getBuiltinModule(name), module);
  return { exports: module.exports, text };
}

test("every language of zod speaks as it does unpacked", async () => {
  const entry = 'export { z } from "zod";';
  const packed = await bundled(entry, [packSeldomNeeded]);
  const { locales, string } = packed.exports["z"] as typeof z;
  expect(Object.keys(locales).sort()).toEqual(Object.keys(z.locales).sort());
  const issue = { code: "too_small", origin: "string", minimum: 3, inclusive: true, input: "ab", path: [] };
  for (const name of Object.keys(z.locales) as (keyof typeof z.locales)[]) {
    const [spoken, expected] = [locales[name](), z.locales[name]()].map(({ localeError }) =>
      localeError(issue as unknown as Parameters<typeof localeError>[0]),
    );
    expect(spoken, name).toEqual(expected);
  }
  const { config } = packed.exports["z"] as typeof z;
  config(locales.de());
  expect(string().min(3).safeParse("ab").error?.message).toContain("Zu klein");
  expect(packed.text).not.toContain("Zu klein");
  expect((await bundled(entry, [])).text).toContain("Zu klein");
});

test("a packed class is made by new", async () => {
  const { exports } = await bundled('export { XMLParser } from "fast-xml-parser";', [packSeldomNeeded]);
  const Packed = exports["XMLParser"] as typeof XMLParser;
  const document = "<a><b>1</b><b>2</b></a>";
  expect(new Packed().parse(document)).toEqual(new XMLParser().parse(document));
});

test("messages are read and written without the rules of their fields", async () => {
  const entry = `
    import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
    import { ResourceType, TypedInterfaceSchema } from "@biplane/data-wire/flyte/core";
    import { TaskSpecSchema } from "@biplane/data-wire/flyte/task";
    const spec = { shortName: "a", taskTemplate: { id: { resourceType: ResourceType.TASK, name: "b" } } };
    export const bytes = toBinary(TaskSpecSchema, create(TaskSpecSchema, spec));
    export const name = fromBinary(TaskSpecSchema, bytes).taskTemplate.id.name;
    export const fields = TypedInterfaceSchema.fields.map(({ name }) => name);
  `;
  const [without, control] = await Promise.all([bundled(entry, [withoutFieldRules]), bundled(entry, [])]);
  expect(without.exports["name"]).toBe("b");
  expect(without.exports["bytes"]).toEqual(control.exports["bytes"]);
  expect(without.exports["fields"]).toEqual(control.exports["fields"]);
  expect(without.text).not.toContain("RepeatedRules");
  expect(without.text.length).toBeLessThan(control.text.length - 60_000);
});
