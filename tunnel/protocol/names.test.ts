import { expect, test } from "vitest";
import { certificateNames, isInternalName, normalizeHostName, tunnelName } from "./names.ts";

test("a tunnel name says service, cluster and organization", () => {
  const name = tunnelName({ service: "router", cluster: "home", org: "acme" });
  expect(name).toBe("router.home.acme.tunnel.biplane.internal");
  expect(isInternalName(name)).toBe(true);
  expect(isInternalName("acme.example.com")).toBe(false);
});

test.each(["", ".", "a..b", "-a", "a-", "a b", "a/b", `${"a".repeat(64)}.b`, "a.".repeat(130)])(
  "%j is no host name",
  (value) => expect(normalizeHostName(value)).toBeUndefined(),
);

test("host names compare without case and without the root's dot", () => {
  expect(normalizeHostName("Router.Example.COM.")).toBe("router.example.com");
});

test("of a certificate's names the plain DNS names count, not wildcards, addresses or quoted text", () => {
  const text =
    'DNS:A.example.com, IP Address:127.0.0.1, DNS:*.b.com, DNS:"x, DNS:evil.com, DNS:y", DNS:c.com';
  expect(certificateNames(text)).toEqual(["a.example.com", "c.com"]);
  expect(certificateNames(undefined)).toEqual([]);
});
