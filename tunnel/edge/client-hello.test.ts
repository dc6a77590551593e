import { once } from "node:events";
import { duplexPair } from "node:stream";
import { type ConnectionOptions, connect } from "node:tls";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseClientHello } from "./client-hello.ts";

/** What a real client writes first. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const [ours, theirs] = duplexPair();
  const client = connect({ socket: ours, ...options });
  client.on("error", () => {});
  const [hello] = (await once(theirs, "data")) as [Buffer];
  client.destroy();
  return hello;
}

/** The same handshake message in records of the given sizes. */
function refragment(hello: Buffer, sizes: readonly number[]): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let offset = 0, index = 0; offset < message.length; index += 1) {
    const part = message.subarray(offset, offset + sizes[index % sizes.length]!);
    const header = Buffer.from([22, 3, 1, 0, 0]);
    header.writeUInt16BE(part.length, 3);
    records.push(header, part);
    offset += part.length;
  }
  return Buffer.concat(records);
}

test.each([
  { minVersion: "TLSv1.3" },
  { maxVersion: "TLSv1.2" },
  { ALPNProtocols: ["h2", "http/1.1"] },
] as const)("finds the server name that a real client asks for (%j)", async (options) => {
  const hello = await helloOf({ servername: "Acme.Example.com", ...options });
  expect(parseClientHello(hello)).toEqual({ kind: "hello", serverName: "acme.example.com" });
});

test("a client that names nobody, such as one that dials an address, is understood", async () => {
  expect(parseClientHello(await helloOf({ host: "127.0.0.1" }))).toEqual({
    kind: "hello",
    serverName: undefined,
  });
});

test("a name is found however the message is cut into records", async () => {
  const hello = await helloOf({ servername: "acme.example.com" });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }), (sizes) => {
      expect(parseClientHello(refragment(hello, sizes))).toMatchObject({ serverName: "acme.example.com" });
    }),
  );
});

test("every prefix is incomplete and asks for no more than is missing, so that reading on ends", async () => {
  const hello = await helloOf({ servername: "acme.example.com" });
  for (const data of [hello, refragment(hello, [1, 50, 300])]) {
    for (let length = 0; length < data.length; length += 1) {
      const parsed = parseClientHello(data.subarray(0, length));
      if (parsed.kind !== "incomplete") throw new Error(`${length}: ${parsed.kind}`);
      expect(parsed.bytesNeeded).toBeGreaterThan(length);
      expect(parsed.bytesNeeded).toBeLessThanOrEqual(data.length);
    }
  }
});

test("garbage is told apart by its first byte, and never throws", () => {
  expect(parseClientHello(Buffer.from("G"))).toMatchObject({ kind: "invalid" });
  expect(parseClientHello(Buffer.from("SSH-2.0-"))).toMatchObject({ kind: "invalid" });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const begunLikeTls = Buffer.concat([Buffer.from([22, 3, 1]), bytes]);
      expect(["hello", "incomplete", "invalid"]).toContain(parseClientHello(begunLikeTls).kind);
    }),
  );
});

test("a hello with any one byte changed is read or refused, never a crash", async () => {
  const hello = await helloOf({ servername: "acme.example.com" });
  fc.assert(
    fc.property(fc.nat(hello.length - 1), fc.nat(255), (place, value) => {
      const changed = Buffer.from(hello);
      changed[place] = value;
      expect(["hello", "incomplete", "invalid"]).toContain(parseClientHello(changed).kind);
    }),
    { numRuns: 2_000 },
  );
});

test("a hello that claims more than the bound is refused before its bytes are waited for", () => {
  const claim = Buffer.from([22, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff]);
  expect(parseClientHello(claim)).toMatchObject({ kind: "invalid" });
  const emptyRecord = Buffer.from([22, 3, 1, 0, 0]);
  expect(parseClientHello(emptyRecord)).toMatchObject({ kind: "invalid" });
});

test("another handshake message in the hello's place is refused", async () => {
  const hello = Buffer.from(await helloOf({ servername: "acme.example.com" }));
  hello[5] = 2;
  expect(parseClientHello(hello)).toMatchObject({ kind: "invalid" });
});
