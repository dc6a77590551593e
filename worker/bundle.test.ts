/** Code bundles as workers unpack them. */
import { createTar, parseTar } from "nanotar";
import { expect, test } from "vitest";
import { entriesOf } from "./bundle.ts";

/** An archive without a block to spare at its end, where lesser ones have zeros. */
const archive = createTar([{ name: "main.mjs", data: "x".repeat(19 * 512) }]);

test("what lies behind an archive in its buffer is not read", () => {
  const longer = Buffer.alloc(16_384, "A");
  longer.set(archive);
  const tar = longer.subarray(0, archive.byteLength);
  const names = (entries: readonly { name: string }[]) => entries.map(({ name }) => name);
  expect(names(entriesOf(tar))).toEqual(["main.mjs"]);
  expect(names(entriesOf(archive))).toEqual(["main.mjs"]);
  expect(names(parseTar(tar)).length, "control: the library reads on").toBeGreaterThan(1);
});
