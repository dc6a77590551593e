import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fullObjectChecksum, startChecksum } from "./checksums.ts";
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

test.each(["CRC32", "CRC32C", "CRC64NVME"] as const)(
  "parts' %s put together are that of the whole",
  (algorithm) => {
    const sum = (bytes: Uint8Array) => {
      const running = startChecksum(algorithm);
      running.update(bytes);
      return { algorithm, value: running.finish(), type: "FULL_OBJECT" as const };
    };
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 6 }), (parts) => {
        const sums = parts.map((part) => ({ checksum: sum(part), bytes: part.length }));
        expect(fullObjectChecksum(algorithm, sums)).toEqual(sum(Buffer.concat(parts)));
      }),
    );
  },
);
