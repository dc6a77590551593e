/** Judging captures: flows from their beginning, flows that were under way, and bytes that are no TLS (claim TLS-1). */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { judgeCapture } from "./capture-tls.ts";

const [client, server] = [40_000, 8_443];

function record(type: number, bytes: number): Buffer {
  const header = Buffer.from([type, 3, 3, 0, 0]);
  header.writeUInt16BE(bytes, 3);
  return Buffer.concat([header, randomBytes(bytes)]);
}

/** One Ethernet frame in the form of tcpdump's files. */
function packet(sequence: number, payload: Buffer, opens = false): Buffer {
  const frame = Buffer.alloc(14 + 20 + 20);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(40 + payload.length, 16);
  frame[23] = 6;
  frame.set([127, 0, 0, 1, 127, 0, 0, 1], 26);
  frame.writeUInt16BE(client, 34);
  frame.writeUInt16BE(server, 36);
  frame.writeUInt32BE(sequence, 38);
  frame[46] = 0x50;
  frame[47] = opens ? 0x02 : 0x10;
  const header = Buffer.alloc(16);
  header.writeUInt32LE(frame.length + payload.length, 8);
  header.writeUInt32LE(frame.length + payload.length, 12);
  return Buffer.concat([header, frame, payload]);
}

function captureOf(...packets: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  return Buffer.concat([header, ...packets]);
}

test("a connection that begins with a handshake and goes on in records is TLS", () => {
  const bytes = Buffer.concat([record(22, 300), record(23, 5_000)]);
  const report = judgeCapture(captureOf(packet(99, Buffer.alloc(0), true), packet(100, bytes)));
  expect(report).toMatchObject({ records: 2, violations: [], bytes: bytes.length });
});

test("of a connection that was under way, the rest of a record may come first", () => {
  const bytes = Buffer.concat([randomBytes(3_000), record(23, 9_000), record(23, 700), record(23, 60)]);
  const report = judgeCapture(
    captureOf(packet(7, bytes.subarray(0, 8_000)), packet(8_007, bytes.subarray(8_000))),
  );
  expect(report.violations).toEqual([]);
  expect(report.records).toBeGreaterThanOrEqual(3);
});

test("plain text is reported, in a new connection and in one that was under way", () => {
  const text = Buffer.from("patient 4711: all of this can be read on the way\n".repeat(2_000));
  const fresh = judgeCapture(
    captureOf(packet(99, Buffer.alloc(0), true), packet(100, text.subarray(0, 40_000))),
  );
  const joined = judgeCapture(
    captureOf(packet(7, text.subarray(0, 40_000)), packet(40_007, text.subarray(40_000))),
  );
  for (const { violations } of [fresh, joined]) {
    expect(violations).toMatchObject([{ to: `127.0.0.1:${server}`, why: expect.stringContaining("patie") }]);
  }
});

test("plain text after records of a connection that was under way is reported", () => {
  const bytes = Buffer.concat([
    record(23, 60_000 % 16_000),
    record(23, 16_000),
    record(23, 16_000),
    record(23, 16_000),
  ]);
  const report = judgeCapture(
    captureOf(packet(7, bytes), packet(7 + bytes.length, Buffer.from("and now something in plain text"))),
  );
  expect(report.violations).toHaveLength(1);
});
