/**
 * A call to the control plane with a canary in its gzipped body, captured and decrypted with the caller's session keys:
 * what a data plane that told too much would send. The cluster's own certificate is used: plane internals, for a control.
 */
import { appendFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { gzipSync } from "node:zlib";
import { clientTlsOptions } from "@biplane/kit/tls";
import { readEnrollment } from "../../planes/data/link/index.ts";
import { statePaths } from "../../planes/data/state.ts";
import type { Subject } from "../frame/subject.ts";
import { requireTools } from "../machine/tools.ts";
import { captureLoopback, type Decrypted, decryptCapture } from "../wire/decrypted-link.ts";

const path = "/biplane.control.v1.IndexService/ListProjects";

export async function gzippedToTheLink(subject: Subject, text: string): Promise<Decrypted> {
  requireTools("tcpdump", "tshark");
  const enrollment = await readEnrollment(statePaths(subject.planes.data.state).link);
  if (enrollment === undefined) throw new Error("The data plane is not enrolled.");
  const [host = "", port = ""] = enrollment.linkAddress.split(":");
  const keyLog = join(subject.folder, "gzipped.keys");
  const capture = await captureLoopback(join(subject.folder, "gzipped.pcap"), [Number(port)]);
  const stop = subject.undo.add(() => capture.stop());
  const tls = clientTlsOptions({ authorityPem: enrollment.providerRootPem, identity: enrollment.identity });
  const socket = connectTls({ host, port: Number(port), servername: host, ALPNProtocols: ["h2"], ...tls });
  socket.on("keylog", (line: Buffer) => appendFileSync(keyLog, line));
  const session = connectHttp2(`https://${enrollment.linkAddress}`, { createConnection: () => socket });
  const call = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/json",
    "content-encoding": "gzip",
  });
  call.end(gzipSync(JSON.stringify({ org: text })));
  await new Promise((done) => call.resume().once("close", done));
  session.close();
  await stop();
  return decryptCapture(capture, [keyLog]);
}
