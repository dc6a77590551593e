/** TLS-1: no plaintext listener and no plaintext connection, on loopback too. */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Claim } from "../frame/claim.ts";
import type { Subject } from "../frame/subject.ts";
import { type Listener, listenersOf } from "../machine/planes.ts";
import { requireRoot, requireTools } from "../machine/tools.ts";
import { plant } from "../scenes/planted-run.ts";
import { type CaptureReport, judgeCapture } from "../wire/capture-tls.ts";
import { captureLoopback } from "../wire/decrypted-link.ts";
import { plaintextAnswers, startPlainEcho } from "../wire/plaintext.ts";

/** Less than this would not have been the run. */
const capturedBytesMin = 20_000;

export const tls1: Claim = {
  id: "TLS-1",
  text: "No plaintext listener and no plaintext connection exist between any two components, on loopback too.",
  from: "machine",
  alone: ["planes"],

  async prove(subject, seen) {
    requireRoot();
    requireTools("tcpdump");
    const found = listenersOf(Object.values(subject.planes));
    seen.note(
      `listeners of the planes' processes: ${found.map(({ owner, port }) => `${owner} ${port}`).join(", ")}.`,
    );
    seen.none("plain HTTP/1.1 and HTTP/2 said to each of them", await plaintextAnswers(portsOf(found)));
    const report = await captured(subject, portsOf(found), async () => {
      await plant(subject.client, subject.folder, subject.signal);
    });
    seen.holds(
      "captured what passed over these ports during a whole run",
      report.bytes > capturedBytesMin,
      `${report.bytes} bytes in ${report.records} TLS records, in ${report.flows} directions of connections`,
    );
    seen.none("every byte of it is part of a TLS record", violations(report));
  },

  async control(subject, seen) {
    requireRoot();
    requireTools("tcpdump");
    const { server, port } = await startPlainEcho();
    const stop = subject.undo.add(() => server.close());
    const answers = await plaintextAnswers([port]);
    const isHeard = seen.caught(
      `a plaintext echo server on port ${port}, spoken to`,
      answers,
      new RegExp(String(port)),
    );
    const report = await captured(subject, [port], () => talkPlainly(port));
    await stop();
    return seen.caught("what was said to it, captured", violations(report), /patie/) && isHeard;
  },
};

function portsOf(found: readonly Listener[]): number[] {
  return [...new Set(found.map(({ port }) => port))];
}

async function captured(
  subject: Subject,
  ports: readonly number[],
  work: () => Promise<void>,
): Promise<CaptureReport> {
  const path = join(subject.folder, `tls-1-${ports[0]}.pcap`);
  const capture = await captureLoopback(path, ports);
  const stop = subject.undo.add(() => capture.stop());
  await work();
  await stop();
  return judgeCapture(readFileSync(path));
}

function violations({ violations: found }: CaptureReport): string[] {
  return found.map(({ from, to, why }) => `${from} to ${to}: ${why}`);
}

function talkPlainly(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.end("patient 4711: all of this can be read on the way\n");
    socket.resume();
    socket.once("close", () => resolve());
    socket.once("error", reject);
  });
}
