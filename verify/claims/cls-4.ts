/** CLS-4: the edge sees ciphertext only. */

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Claim } from "../frame/claim.ts";
import { requireRoot, requireTools } from "../machine/tools.ts";
import { plantedRun } from "../scenes/planted-run.ts";
import { providerTraffic, stage, stageWords } from "../scenes/stage.ts";
import { describeFinding, filesBelow, searchFile, searchFiles, searchProcess } from "../search/places.ts";
import { bytesOf, searchTraffic } from "../search/traffic.ts";
import { captureLoopback } from "../wire/decrypted-link.ts";

export const cls4: Claim = {
  id: "CLS-4",
  text: "The tunnel edge sees ciphertext only.",
  from: "machine",
  msMax: 240_000,

  async prove(subject, seen) {
    requireRoot();
    const { secret, named } = await subject.scene(plantedRun);
    const { edge } = subject.planes;
    for (const [what, canaries] of [
      ["customer data", secret],
      ["names", named],
    ] as const) {
      seen.none(
        `searched the edge's memory and deleted-but-open files for ${what}`,
        searchProcess(canaries, edge.pid).map(describeFinding),
      );
      seen.none(
        `searched ${filesBelow(edge.state).length} files and ${edge.logs.length} logs of it for ${what}`,
        [
          ...searchFiles(canaries, edge.state),
          ...edge.logs.flatMap((path) => searchFile(canaries, path)),
        ].map(describeFinding),
      );
    }
    const { capture, planted, ports } = await subject.scene(stage);
    const raw = readFileSync(capture.path);
    seen.none(
      `searched all ${raw.length} bytes that passed over the ports of ${stageWords} raw`,
      planted.secret.search(raw, "the capture").map(describeFinding),
    );
    const traffic = await subject.scene(providerTraffic);
    const opened = bytesOf(traffic, ports.router, ports.authority, ports.objects);
    seen.holds(
      "tried to open the public side with all session keys of the provider's programs",
      opened === 0,
      `${opened} bytes were opened`,
    );
    const tunnel = {
      ...traffic,
      connections: traffic.connections.filter(({ port }) => port === ports.tunnel),
    };
    seen.none(
      `searched the ${bytesOf(traffic, ports.tunnel)} bytes that the edge carries inside its tunnel, opened with its own keys`,
      searchTraffic(planted.secret, tunnel).map(describeFinding),
    );
  },

  async control(subject, seen) {
    requireRoot();
    requireTools("tcpdump");
    const { secret } = await subject.scene(plantedRun);
    const port = Number(new URL(subject.connection.profile.router).port || 443);
    const capture = await captureLoopback(join(subject.folder, "cls-4.pcap"), [port]);
    const stop = subject.undo.add(() => capture.stop());
    await sayPlainly(port, secret.plant("plaintext"));
    await stop();
    const found = secret.search(readFileSync(capture.path), "the capture").map(describeFinding);
    return seen.caught("a canary said to the edge in plain text", found, /plaintext in/);
  },
};

function sayPlainly(port: number, text: string): Promise<void> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => socket.end(`${text}\n`));
    socket.resume();
    socket.on("error", () => done());
    socket.once("close", () => done());
  });
}
