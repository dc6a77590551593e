import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeProxyHeader, type ProxiedConnection, parseProxyHeader } from "./proxy-header.ts";

const port = fc.integer({ min: 0, max: 65_535 });
const v4 = fc.record({ address: fc.ipV4(), port });
const v6 = fc.record({ address: fc.ipV6().map(canonical), port });

/** Node prints IPv6 addresses in this form; mapped IPv4 ones come back as IPv4. */
function canonical(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

const connections = fc.oneof(
  fc.record({ client: v4, edge: v4 }),
  fc.record({ client: v6, edge: v6 }),
  fc.record({ client: v4, edge: v6 }),
);
const isMapped = (address: string) => address.startsWith("::ffff:");

test("what is encoded is what is parsed, whatever follows it", () => {
  fc.assert(
    fc.property(connections, fc.uint8Array({ maxLength: 64 }), ({ client, edge }, rest) => {
      fc.pre(!isMapped(client.address) && !isMapped(edge.address));
      const connection: ProxiedConnection = { kind: "known", client, edge };
      const header = encodeProxyHeader(connection);
      const parsed = parseProxyHeader(Buffer.concat([header, rest]));
      expect(parsed).toEqual({ kind: "header", connection, bytes: header.length });
    }),
  );
});

test("every true prefix of a header is incomplete, never an error and never a header", () => {
  fc.assert(
    fc.property(connections, ({ client, edge }) => {
      const header = encodeProxyHeader({ kind: "known", client, edge });
      for (let length = 0; length < header.length; length += 1) {
        expect(parseProxyHeader(header.subarray(0, length)).kind).toBe("incomplete");
      }
    }),
  );
});

test("arbitrary bytes never throw, and pass only with the signature", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 13, maxLength: 600 }), (bytes) => {
      expect(parseProxyHeader(bytes).kind).toBe("invalid");
    }),
  );
});

test("an example of the specification's layout, byte by byte", () => {
  const header = encodeProxyHeader({
    kind: "known",
    client: { address: "192.0.2.1", port: 0x1234 },
    edge: { address: "198.51.100.2", port: 443 },
  });
  expect(header.toString("hex")).toBe(
    "0d0a0d0a000d0a515549540a" + "21" + "11" + "000c" + "c0000201" + "c6336402" + "1234" + "01bb",
  );
});

test("a connection whose client is not known says so", () => {
  expect(parseProxyHeader(encodeProxyHeader({ kind: "unknown" }))).toEqual({
    kind: "header",
    bytes: 16,
    connection: { kind: "unknown" },
  });
});

test("a mapped IPv4 address and a zone are written as the plain address", () => {
  const parsed = parseProxyHeader(
    encodeProxyHeader({
      kind: "known",
      client: { address: "::ffff:127.0.0.1", port: 1 },
      edge: { address: "127.0.0.2", port: 2 },
    }),
  );
  expect(parsed).toMatchObject({ connection: { client: { address: "127.0.0.1", port: 1 } } });
  expect(() =>
    encodeProxyHeader({
      kind: "known",
      client: { address: "not an address", port: 1 },
      edge: { address: "127.0.0.1", port: 2 },
    }),
  ).toThrow("not an IP address");
});

test("a header that claims more than 536 bytes is refused before they are waited for", () => {
  const header = encodeProxyHeader({ kind: "unknown" });
  header.writeUInt16BE(60_000, 14);
  expect(parseProxyHeader(header)).toMatchObject({ kind: "invalid" });
});

test("extensions after the addresses are skipped", () => {
  const header = encodeProxyHeader({
    kind: "known",
    client: { address: "10.0.0.1", port: 1 },
    edge: { address: "10.0.0.2", port: 2 },
  });
  const extended = Buffer.concat([header, Buffer.from([0x02, 0, 1, 0x61])]);
  extended.writeUInt16BE(12 + 4, 14);
  expect(parseProxyHeader(extended)).toMatchObject({
    bytes: 32,
    connection: { client: { address: "10.0.0.1" } },
  });
});
