/**
 * Captures the loopback while the demo runs, in a network of its own so that nothing but Biplane is on it: what passes
 * over TCP, between people, planes and edge, is TLS and nothing else (TLS-1).
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type CaptureReport, judgeCapture } from "@biplane/verify/wire/capture-tls";
import { afterAll, expect, test } from "vitest";
import { programPath } from "../support/daemon.ts";
import { describeWithTools, skip } from "../support/tools.ts";

const runMsMax = 280_000;
const folder = mkdtempSync(join(tmpdir(), "capture-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs commands after one another in a network namespace whose only interface is a loopback, with tcpdump on it. */
async function captureWhile(
  commands: readonly (readonly string[])[],
): Promise<{ report: CaptureReport; output: string }> {
  const path = join(folder, `${commands.length}.pcap`);
  const inside = [
    `tcpdump -i lo -s 0 -B 65536 -U -Z root -w ${path} tcp 2>${path}.log & dump=$!`,
    `until grep -q 'listening on' ${path}.log; do kill -0 $dump; sleep 0.05; done`,
    ...commands.map((command) => command.map(quote).join(" ")),
    // The kernel hands packets over a second later.
    "sleep 2; kill -INT $dump; wait $dump",
  ].join("\n");
  const isolated = ["--dev-bind", "/", "/", "--unshare-net", "--die-with-parent", "--", "sh", "-ec", inside];
  const { stdout } = await promisify(execFile)("bwrap", isolated, {
    env: { ...process.env, HOME: folder, NO_COLOR: "1" },
    timeout: runMsMax,
    maxBuffer: 16 * 1024 * 1024,
  });
  // A packet that the kernel had no room for is one that nobody has judged.
  expect(readFileSync(`${path}.log`, "utf8")).toContain("0 packets dropped by kernel");
  return { report: judgeCapture(readFileSync(path)), output: stdout };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

const canCapture = process.getuid?.() === 0;

describeWithTools("the wire", ["tcpdump", "bubblewrap"], () => {
  test("while the demo runs, every byte on the loopback is part of a TLS record (TLS-1)", async (context) => {
    if (!canCapture) skip(context, "captures packets, which takes root");
    const { report } = await captureWhile([[process.execPath, programPath("demo")]]);
    expect(report.violations).toEqual([]);
    // So that an empty capture can't pass: the demo's file alone has 13 MB, to the edge and from there through the tunnel.
    expect(report.bytes).toBeGreaterThan(25_000_000);
    expect(report.flows).toBeGreaterThan(20);
  });

  test("control: an echo in plain text beside it is reported, with its port and both directions", async (context) => {
    if (!canCapture) skip(context, "captures packets, which takes root");
    const { report, output } = await captureWhile([
      [process.execPath, resolve(import.meta.dirname, "capture-echo.ts")],
    ]);
    const { port } = JSON.parse(output) as { port: number };
    const echo = `127.0.0.1:${port}`;
    expect(report.violations).toHaveLength(2);
    expect(report.violations.some(({ to, why }) => to === echo && why.includes("patie"))).toBe(true);
    expect(report.violations.some(({ from }) => from === echo)).toBe(true);
  });
});
