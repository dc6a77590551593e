import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { equalInConstantTime, Secret } from "./index.ts";

test("a secret shows itself in no printed form, however deep it sits", () => {
  const holder = { token: new Secret("s3cr3t"), list: [new Secret("s3cr3t")] };
  const forms = [`${holder.token}`, JSON.stringify(holder), inspect(holder, { depth: 9, showHidden: true })];
  for (const form of forms) expect(form).not.toContain("s3cr3t");
  expect(holder.token.reveal()).toBe("s3cr3t");
});

test("the comparison in constant time agrees with the plain one", () => {
  const bytes = fc.uint8Array({ maxLength: 4 });
  fc.assert(
    fc.property(bytes, bytes, (left, right) => {
      expect(equalInConstantTime(left, right)).toBe(Buffer.compare(left, right) === 0);
      expect(equalInConstantTime(left, Uint8Array.from(left))).toBe(true);
    }),
  );
});
