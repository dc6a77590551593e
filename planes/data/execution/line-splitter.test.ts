import { limits } from "@biplane/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

const mark = "\u0004end-of-output-5f1c";

function split(stream: Buffer, chunkBytes: number): { lines: string[]; ended: boolean; dropped: number } {
  const splitter = new LineSplitter(mark);
  const all = [];
  for (let at = 0; at < stream.length; at += chunkBytes)
    all.push(...splitter.push(stream.subarray(at, at + chunkBytes)));
  const ended = splitter.ended;
  all.push(...splitter.finish());
  const lines = all.map(({ text }) => text).filter((text) => text !== "");
  return { lines, ended, dropped: all.reduce((sum, line) => sum + line.droppedBytes, 0) };
}

test("LOG-1: what was printed before the mark comes out byte for byte, newline at the end or not", () => {
  const text = fc.string({ maxLength: 60 });
  fc.assert(
    fc.property(fc.array(text), text, fc.integer({ min: 1, max: 50 }), (whole, last, chunkBytes) => {
      const printed = [...whole.map((line) => `${line}\n`), last].join("");
      const { lines, ended } = split(Buffer.from(`${printed}${mark}\nlater output\n`), chunkBytes);
      expect(lines.join("")).toBe(printed);
      expect(ended).toBe(true);
    }),
  );
});

test("without the mark the stream's end ends the last line", () => {
  expect(split(Buffer.from("one\ntwo"), 3)).toEqual({ lines: ["one\n", "two"], ended: false, dropped: 0 });
});

test("a line may have 1 MiB; of a longer one the rest is counted, even where the mark ends it", () => {
  const longest = `${"x".repeat(limits.logLineBytesMax - 1)}\n`;
  expect(split(Buffer.from(longest), 65_536)).toMatchObject({ lines: [longest], dropped: 0 });
  const endless = Buffer.from(`${"y".repeat(3 * limits.logLineBytesMax)}${mark}\n`);
  const cut = split(endless, 65_536);
  expect(cut).toMatchObject({ ended: true, dropped: 2 * limits.logLineBytesMax });
  expect(cut.lines).toEqual([`${"y".repeat(limits.logLineBytesMax)}\n`]);
});
