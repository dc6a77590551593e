/**
 * The HTTP/2 calls of a decrypted capture, put together from what was on the wire and from nothing that Biplane says:
 * headers by tshark, which unpacks them, bodies by their frames, messages by Connect's prefixes.
 */
import type { Capture, Decrypted } from "./decrypted-link.ts";
import { http2Bodies, tsharkOn } from "./decrypted-link.ts";

export interface CapturedCall {
  readonly connection: number;
  readonly stream: number;
  /** By name. */
  readonly up: CapturedDirection;
  readonly down: CapturedDirection;
}

export interface CapturedDirection {
  readonly headers: Readonly<Record<string, string>>;
  readonly messages: readonly Buffer[];
}

/** In the order in which they began. `port`: of the server. */
export async function capturedCalls(
  capture: Capture,
  decrypted: Decrypted,
  keyLogPaths: readonly string[],
  port: number,
): Promise<CapturedCall[]> {
  const parameters = ["-Y", "http2.header", "-T", "pdml", "-J", "tcp http2"];
  const headers = readHeaders(await tsharkOn(capture, keyLogPaths, parameters), port);
  return decrypted.connections
    .filter((one) => one.port === port)
    .sort((a, b) => a.connection - b.connection)
    .flatMap(({ connection, up, down }) => {
      const bodies = { up: http2Bodies(up), down: http2Bodies(down) };
      const streams = [...(headers.get(connection)?.keys() ?? [])].sort((a, b) => a - b);
      return streams.map((stream) => {
        const of = (direction: "up" | "down"): CapturedDirection => {
          const named = headers.get(connection)!.get(stream)![direction];
          const isStream = named["content-type"]?.startsWith("application/connect+") === true;
          const body = bodies[direction].get(stream) ?? Buffer.alloc(0);
          return { headers: named, messages: isStream ? messagesIn(body) : [body] };
        };
        return { connection, stream, up: of("up"), down: of("down") };
      });
    });
}

type Named = Record<string, string>;
type HeadersByStream = Map<number, { readonly up: Named; readonly down: Named }>;

/** Walks tshark's report line by line: what stands before a header says whose it is. */
function readHeaders(report: string, port: number): Map<number, HeadersByStream> {
  const found = new Map<number, HeadersByStream>();
  let connection = 0;
  let direction: "up" | "down" = "up";
  let stream = 0;
  let name = "";
  for (const line of report.split("\n")) {
    const [, field = ""] = /<field name="([a-z0-9.]+)"/.exec(line) ?? [];
    const [, shown = ""] = / show="([^"]*)"/.exec(line) ?? [];
    const text = unescapeXml(shown);
    if (field === "tcp.stream") connection = Number(text);
    else if (field === "tcp.srcport") direction = Number(text) === port ? "down" : "up";
    else if (field === "http2.streamid") stream = Number(text);
    else if (field === "http2.header.name") name = text;
    else if (field === "http2.header.value") {
      const streams = found.get(connection) ?? new Map();
      found.set(connection, streams);
      const named = streams.get(stream) ?? { up: {}, down: {} };
      streams.set(stream, named);
      named[direction][name] = text;
    }
  }
  return found;
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', amp: "&", apos: "'" };

function unescapeXml(text: string): string {
  return text.replaceAll(/&(lt|gt|quot|amp|apos);/g, (_, name: string) => entities[name]!);
}

/** Connect's envelopes without their prefixes. */
function messagesIn(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
