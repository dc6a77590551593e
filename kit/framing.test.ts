import { isBiplaneError } from "@biplane/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import { frameMessage, MessageSplitter } from "./framing.ts";

test("messages come out whole and in order however the stream was cut", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 12 });
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 97 }), (sent, chunkBytes) => {
      const stream = Buffer.concat(sent.map(frameMessage));
      const splitter = new MessageSplitter(1_000);
      const received: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += chunkBytes)
        received.push(...splitter.push(stream.subarray(at, at + chunkBytes)));
      expect(received.map((one) => [...one])).toEqual(sent.map((one) => [...one]));
    }),
  );
});

test("a length above the bound is refused before its bytes are waited for", () => {
  const splitter = new MessageSplitter(10);
  const head = frameMessage(new Uint8Array(11)).subarray(0, 1);
  expect(() => splitter.push(head)).toThrow(/11 bytes/);
});

test("an endless length is refused", () => {
  const splitter = new MessageSplitter(10);
  try {
    splitter.push(new Uint8Array(8).fill(0xff));
    expect.unreachable();
  } catch (error) {
    expect(isBiplaneError(error, "resource_exhausted")).toBe(true);
  }
});
