import { isIPv4 } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalAddress, kindOf } from "./addresses.ts";

const judge = (text: string) => {
  const address = canonicalAddress(text);
  return address === undefined ? "none" : kindOf(address);
};

test.each([
  [
    "forbidden",
    ["169.254.169.254", "169.254.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "168.63.129.16"],
  ],
  [
    "forbidden",
    ["100.100.100.200", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "::", "::2", "2002:7f00:1::"],
  ],
  [
    "forbidden",
    ["2001:0:4136::1", "::ffff:169.254.169.254", "::ffff:0:0", "64:ff9b::169.254.169.254", "64:ff9b::"],
  ],
  [
    "own",
    ["127.0.0.1", "127.255.0.9", "10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"],
  ],
  ["own", ["::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::10.0.0.1", "0:0:0:0:0:0:0:1"]],
  ["public", ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]],
  [
    "none",
    [
      "",
      "localhost",
      "127.1",
      "0x7f.0.0.1",
      "2130706433",
      "0177.0.0.1",
      "fe80::1%eth0",
      "[::1]",
      "1.2.3.4.5",
    ],
  ],
])("%s: %j (claim RES-4)", (kind, addresses) => {
  for (const address of addresses) expect(`${address} ${judge(address)}`).toBe(`${address} ${kind}`);
});

test("no spelling of an IPv4 address in IPv6 is judged more kindly than the address itself", () => {
  const bytes = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  fc.assert(
    fc.property(bytes, ([a, b, c, d]) => {
      const address = `${a}.${b}.${c}.${d}`;
      const kind = kindOf(address);
      const high = (a * 256 + b).toString(16);
      const low = (c * 256 + d).toString(16);
      for (const disguise of [
        `::ffff:${address}`,
        `0:0:0:0:0:ffff:${high}:${low}`,
        `::FFFF:${high}:${low}`,
      ]) {
        expect(canonicalAddress(disguise)).toBe(address);
      }
      expect(judge(`64:ff9b::${address}`)).toBe(kind);
      expect(judge(`64:ff9b:0:0:0:0:${high}:${low}`)).toBe(kind);
      expect(judge(`::${address}`)).not.toBe("public");
      expect(judge(`2002:${high}:${low}::1`)).toBe("forbidden");
    }),
    { numRuns: 2_000 },
  );
});

test("one address has one spelling, and judging it twice says the same", () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const address = canonicalAddress(text)!;
      expect(canonicalAddress(address)).toBe(address);
      if (!isIPv4(address)) expect(judge(address.toUpperCase())).toBe(judge(text));
    }),
  );
});
