import fc from "fast-check";
import { expect, test } from "vitest";
import {
  allowsTarget,
  formatAllowedHost,
  mayDial,
  parseAllowedHost,
  parseAuthority,
} from "./allowed-hosts.ts";

const list = (...texts: string[]) => texts.map(parseAllowedHost);
const allows = (texts: string[], authority: string) => {
  const target = parseAuthority(authority);
  return target !== undefined && allowsTarget(list(...texts), target);
};

test.each([
  ["api.example.com", "api.example.com:443"],
  ["API.Example.com.:8443", "api.example.com:8443"],
  ["10.1.2.3:5432", "10.1.2.3:5432"],
  ["10.1.0.0/16:5432", "10.1.0.0/16:5432"],
  ["[fd12:0::1]:443", "[fd12::1]:443"],
  ["[fd12::/48]", "[fd12::/48]:443"],
  ["[::ffff:10.0.0.1]:80", "10.0.0.1:80"],
  ["localhost:5432", "localhost:5432"],
])("%s is kept as %s", (text, kept) => {
  expect(formatAllowedHost(parseAllowedHost(text))).toBe(kept);
  expect(formatAllowedHost(parseAllowedHost(kept))).toBe(kept);
});

test.each([
  ...[
    "",
    ":",
    ":443",
    "a:0",
    "a:65536",
    "a:http",
    "a b",
    "a/24",
    "-a",
    "a..b",
    "*.example.com",
    "https://a",
    "a@b",
  ],
  ...[
    "0.0.0.0/0",
    "10.0.0.0/7:1",
    "10.0.0.0/33",
    "[fd12::/16]:1",
    "fd12::1",
    "127.1",
    "0x7f000001",
    "2130706433",
  ],
  ...["169.254.169.254:80", "[fe80::1]:80", "224.0.0.1", "0.0.0.0", "[::ffff:169.254.169.254]:80"],
  ...["a".repeat(64), `${"a.".repeat(127)}aa`, "a\r\nb", "a\0b"],
])("%j can't be allowed", (text) => {
  expect(() => parseAllowedHost(text)).toThrow("can't be allowed as a host");
});

test("a project reaches what it was allowed, at that port, in whatever spelling, and nothing else (claim RES-4)", () => {
  expect(allows(["api.example.com"], "api.example.com:443")).toBe(true);
  expect(allows(["api.example.com"], "API.EXAMPLE.COM.:443")).toBe(true);
  expect(allows(["api.example.com"], "api.example.com:80")).toBe(false);
  expect(allows(["api.example.com"], "evil.api.example.com:443")).toBe(false);
  expect(allows(["api.example.com"], "example.com:443")).toBe(false);
  expect(allows(["10.1.0.0/16:5432"], "10.1.9.9:5432")).toBe(true);
  expect(allows(["10.1.0.0/16:5432"], "[::ffff:10.1.9.9]:5432")).toBe(true);
  expect(allows(["10.1.0.0/16:5432"], "10.2.0.1:5432")).toBe(false);
  expect(allows(["127.0.0.1:80"], "localhost:80")).toBe(false);
  expect(allows([], "api.example.com:443")).toBe(false);
});

test("a name's address is dialled where it is public, or allowed as an address as well", () => {
  const names = list("db.example.com:5432");
  expect(mayDial(names, "93.184.216.34", 5432)).toBe(true);
  for (const address of ["10.1.0.9", "127.0.0.1", "::1", "169.254.169.254"]) {
    expect(mayDial(names, address, 5432)).toBe(false);
  }
  const both = list("db.example.com:5432", "10.1.0.0/16:5432");
  expect(mayDial(both, "10.1.0.9", 5432)).toBe(true);
  expect(mayDial(both, "10.1.0.9", 5433)).toBe(false);
  // A wide network holds an address that nobody may reach.
  expect(mayDial(list("db.example.com", "100.64.0.0/10"), "100.100.100.200", 443)).toBe(false);
  expect(allows(["100.64.0.0/10"], "100.100.100.200:443")).toBe(false);
});

test("whatever is sent as an authority is read in one way or not at all", () => {
  const hosts = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((one) => `[${one}]`),
    fc.string(),
  );
  const ports = fc.oneof(fc.nat(70_000).map(String), fc.string());
  fc.assert(
    fc.property(hosts, ports, (host, port) => {
      const target = parseAuthority(`${host}:${port}`);
      if (target === undefined) return;
      expect(target.host).toMatch(/^[a-z0-9_.:-]+$/);
      expect(target.port).toBe(Number(port));
      const again = target.host.includes(":") ? `[${target.host}]` : target.host;
      expect(parseAuthority(`${again}:${target.port}`)).toEqual(target);
    }),
    { numRuns: 2_000 },
  );
});

test("only what is on a list is ever allowed, whatever is asked", () => {
  const allowed = ["api.example.com", "10.1.0.0/16:443"];
  fc.assert(
    fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.string()), (host) => {
      const isListed = /^api\.example\.com\.?$/i.test(host) || /^10\.1\.\d+\.\d+$/.test(host);
      expect(allows(allowed, `${host}:443`)).toBe(isListed);
    }),
    { numRuns: 2_000 },
  );
});
