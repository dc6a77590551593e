/**
 * What passes over the provider's ports, captured on the loopback and decrypted with the session keys that chosen
 * programs log: whatever the owner of those programs could read. Node logs keys only where its flag is given.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

/** Environment with which a program of ours logs the keys of every TLS session that it is an end of. */
export function keyLogging(keyLogPath: string): Record<string, string> {
  return { NODE_OPTIONS: `--tls-keylog=${keyLogPath}`, NODE_NO_WARNINGS: "1" };
}

export interface Capture {
  readonly path: string;
  readonly ports: readonly number[];
  /** Ends the capture; throws if a packet was lost. */
  stop(): Promise<void>;
}

export interface DecryptedConnection {
  /** Numbered as they began. */
  readonly connection: number;
  /** Where the connection's server listens. */
  readonly port: number;
  /** What the client said, decrypted: empty where none of the logged keys opens the connection. */
  readonly up: Buffer;
  readonly down: Buffer;
}

export interface Decrypted {
  readonly connections: readonly DecryptedConnection[];
  /** Every HTTP/2 header line: on the wire they are packed in a way that no search of bytes sees through. */
  readonly headers: readonly string[];
}

const startMsMax = 10_000;
/** What has been sent reaches the capture's file a moment later. */
const settleMs = 1_500;
const outputBytesMax = 1024 * 1024 * 1024;

/** Captures what passes over these ports of the loopback; takes root. A connection can be decrypted from its start only. */
export async function captureLoopback(path: string, ports: readonly number[]): Promise<Capture> {
  const filter = ports.map((port) => `tcp port ${port}`).join(" or ");
  const parameters = ["-i", "lo", "-s", "0", "-B", "65536", "-U", "--immediate-mode", "-Z", "root"];
  const child = spawn("tcpdump", [...parameters, "-w", path, filter], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const deadline = Date.now() + startMsMax;
  while (!said.includes("listening on")) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`tcpdump did not start: ${said}`);
    await pause(20);
  }
  const stop = async () => {
    await pause(settleMs);
    const ended = once(child, "exit");
    child.kill("SIGINT");
    await ended;
    if (!said.includes("0 packets dropped by kernel")) throw new Error(`Packets were lost: ${said}`);
  };
  return { path, ports, stop };
}

/** Decrypts a capture that has ended, as far as the logged keys go. */
export async function decryptCapture(capture: Capture, keyLogPaths: readonly string[]): Promise<Decrypted> {
  const read = (parameters: readonly string[]) => tsharkOn(capture, keyLogPaths, parameters);
  const opened = await read([
    "-Y",
    "tcp.flags.syn==1 && tcp.flags.ack==0",
    ...fields("tcp.stream", "tcp.dstport"),
  ]);
  const portOf = new Map(
    opened
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split("\t") as [string, string]),
  );
  if (portOf.size === 0) throw new Error("The capture holds no connection.");
  const follow = [...portOf.keys()].flatMap((stream) => ["-z", `follow,tls,raw,${stream}`]);
  const followed = await read(["-q", ...follow]);
  const headers = await read(["-Y", "http2.header", ...fields("http2.header.name", "http2.header.value")]);
  return {
    connections: readFollowed(followed, portOf).map(({ stream, ...rest }) => ({
      connection: Number(stream),
      port: Number(portOf.get(stream)),
      ...rest,
    })),
    headers: headers.split("\n").filter(Boolean),
  };
}

function fields(...names: string[]): string[] {
  return ["-T", "fields", ...names.flatMap((name) => ["-e", name])];
}

/** Asks tshark about a capture, with these keys at hand. */
export async function tsharkOn(
  { path, ports }: Capture,
  keyLogPaths: readonly string[],
  parameters: readonly string[],
): Promise<string> {
  const keysPath = `${path}.keys`;
  const logs = keyLogPaths.filter(existsSync).map((log) => readFileSync(log, "utf8"));
  writeFileSync(keysPath, logs.join(""));
  // -n: no names are asked of anyone. The ports are ours, so tshark can't know what is spoken there.
  const common = ["-n", "-r", path, "-o", `tls.keylog_file:${keysPath}`];
  const spoken = ports.flatMap((port) => ["-d", `tcp.port==${port},tls`]);
  const { stdout } = await promisify(execFile)("tshark", [...common, ...spoken, ...parameters], {
    maxBuffer: outputBytesMax,
  });
  return stdout;
}

/** Each connection's report: two ends, then lines of hexadecimal, those of the second one after a tab. */
function readFollowed(
  report: string,
  portOf: ReadonlyMap<string, string>,
): { stream: string; up: Buffer; down: Buffer }[] {
  return report
    .split("Follow: tls,raw\n")
    .slice(1)
    .map((part) => {
      const lines = part.split("\n");
      const stream = /tcp\.stream eq (\d+)/.exec(lines[0] ?? "")?.[1];
      if (stream === undefined) throw new Error(`tshark reported something unknown: ${lines[0]}`);
      const bytes = lines.slice(3).filter((line) => /^\t?[0-9a-f]+$/.test(line));
      const join = (wanted: string[]) => Buffer.from(wanted.join("").replaceAll("\t", ""), "hex");
      const first = join(bytes.filter((line) => !line.startsWith("\t")));
      const second = join(bytes.filter((line) => line.startsWith("\t")));
      // Which end comes first in the report is not always the client.
      const isServerFirst = lines[1]?.endsWith(`:${portOf.get(stream)}`) === true;
      return { stream, ...(isServerFirst ? { up: second, down: first } : { up: first, down: second }) };
    });
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const frameHeaderBytes = 9;
const dataFrame = 0;
const paddedFlag = 0x08;

/** The bodies of one direction of an HTTP/2 connection, by stream: frames would cut a value in two. */
export function http2Bodies(direction: Buffer): Map<number, Buffer> {
  const start = direction.subarray(0, preface.length).equals(preface) ? preface.length : 0;
  const parts = new Map<number, Buffer[]>();
  for (let at = start; at + frameHeaderBytes <= direction.length; ) {
    const end = at + frameHeaderBytes + direction.readUIntBE(at, 3);
    if (direction[at + 3] === dataFrame) {
      const stream = direction.readUInt32BE(at + 5) & 0x7fffffff;
      const body = direction.subarray(at + frameHeaderBytes, end);
      const isPadded = (direction[at + 4]! & paddedFlag) !== 0;
      const content = isPadded ? body.subarray(1, body.length - body[0]!) : body;
      parts.set(stream, [...(parts.get(stream) ?? []), content]);
    }
    at = end;
  }
  return new Map([...parts].map(([stream, chunks]) => [stream, Buffer.concat(chunks)]));
}
