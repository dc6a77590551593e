import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { startChecksum } from "./checksums.ts";
import { crc32c, crc64nvme } from "./crc.ts";

const digits = Buffer.from("123456789");

test("the check values of the catalogue of CRC algorithms", () => {
  expect(crc32c(digits)).toBe(0xe3069283);
  expect(crc64nvme(digits)).toBe(0xae8b14860a799888n);
});

test("a checksum over pieces is the checksum over the whole", () => {
  const bytes = randomBytes(5_000);
  fc.assert(
    fc.property(
      fc.nat(bytes.length),
      fc.constantFrom("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"),
      (at, name) => {
        const whole = startChecksum(name);
        whole.update(bytes);
        const pieces = startChecksum(name);
        pieces.update(bytes.subarray(0, at));
        pieces.update(bytes.subarray(at));
        expect(pieces.finish()).toBe(whole.finish());
      },
    ),
  );
});
