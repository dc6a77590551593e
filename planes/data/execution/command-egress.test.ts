/** Programs that are no workers leave their sandbox by the same proxy, as the same attempt (claim RES-4). */
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import { type AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { day } from "@biplane/base";
import type { AuditInput } from "@biplane/kit/audit-log";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { createLogger } from "@biplane/kit/logging";
import { serverTlsOptions, type TlsIdentity } from "@biplane/kit/tls";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithTools } from "../../../tests/support/tools.ts";
import { parseAllowedHost } from "../egress/allowed-hosts.ts";
import { TaskEgress } from "../egress/proxy.ts";
import { buildInstallation } from "./testing/installation.ts";
import { plainEntrances, TestExecutor } from "./testing/test-executor.ts";

const address = "127.0.0.2";
const node = "/opt/biplane/bin/node";
const repository = join(import.meta.dirname, "../../..");

let authority: TlsIdentity;
let server: Server;
let port: number;
let allowed: string[];
let system: TestExecutor;
const recorded: AuditInput[] = [];

function script(url: string): string {
  return `fetch(${JSON.stringify(url)}).then((r) => r.text()).then((t) => process.stdout.write(t + "\\n"),
    (error) => { console.log("failed:", error.cause?.cause?.message ?? error.cause?.message ?? error.message); process.exitCode = 3; });`;
}

describeWithTools("programs in sandboxes", ["bubblewrap"], () => {
  beforeAll(async () => {
    authority = await createRootAuthority("test", day);
    const shared = { uses: ["server"], lifetimeMs: day } as const;
    const own = await issueCertificate(authority, { commonName: "plane", hosts: ["localhost"], ...shared });
    const theirs = await issueCertificate(authority, { commonName: address, hosts: [address], ...shared });
    server = createServer(serverTlsOptions({ identity: theirs }), (_, response) => response.end("reached"));
    await once(server.listen(0, address), "listening");
    ({ port } = server.address() as AddressInfo);
    allowed = [`${address}:${port}`];
    const egress = new TaskEgress({
      hostsOf: () => allowed.map(parseAllowedHost),
      resolve: async () => [],
      connect: (to, at) => new Socket({ allowHalfOpen: true }).connect(at, to),
      record: async (input) => void recorded.push(input),
      identity: () => own,
      log: createLogger({ component: "test", level: "silent" }),
    });
    const installation = await buildInstallation();
    await build({
      entryPoints: [join(repository, "worker/first-process.ts")],
      outfile: join(installation.dist, "first-process.mjs"),
      ...{ bundle: true, platform: "node", format: "esm", target: "node24", logLevel: "error" },
    });
    const openEgress = egress.openSandbox.bind(egress);
    const entrances = { ...plainEntrances, openEgress };
    const authorityPem = () => authority.certificatePem;
    const hasHosts = () => allowed.length > 0;
    system = await TestExecutor.start({ installation, entrances, authorityPem, hasHosts }, "");
  });
  afterAll(async () => {
    await system?.close();
    server?.close();
  });

  test("reach what was allowed, and are refused the rest; their own end is the attempt's", async () => {
    const reaching = { action: "reaching", argv: [node, "-e", script(`https://${address}:${port}/`)] };
    expect(await system.run(reaching)).toMatchObject({ kind: "succeeded" });
    expect(await system.text(reaching)).toBe("reached\n");
    const refused = { action: "refused", argv: [node, "-e", script(`https://${address}:${port + 1}/`)] };
    expect(await system.run(refused)).toMatchObject({ kind: "failed", failure: { code: "ProcessExited" } });
    expect(await system.text(refused)).toContain("Proxy response (403)");
    expect(recorded.map(({ action, decision }) => [action, decision])).toEqual([
      ["reaching", "allowed"],
      ["refused", "denied"],
    ]);
  });

  test("believe the machine's authorities and the organization's root, where they may connect elsewhere", async () => {
    const count = `const text = require("node:fs").readFileSync(process.env.REQUESTS_CA_BUNDLE, "utf8");
      console.log(text.split("BEGIN CERTIFICATE").length - 1, text.includes(${JSON.stringify(authority.certificatePem.trim())}));`;
    const believing = { action: "believing", argv: [node, "-e", count] };
    expect(await system.run(believing)).toMatchObject({ kind: "succeeded" });
    expect(await system.text(believing)).toBe(`${getCACertificates("system").length + 1} true\n`);
  });

  test("end with the signal or the code that they ended with", async () => {
    const aborted = { action: "aborted", argv: [node, "-e", "process.abort()"] };
    expect(await system.run(aborted)).toMatchObject({ failure: { code: "ProcessCrashed" } });
    const missing = { action: "missing", argv: ["/no/such/program"] };
    expect(await system.run(missing)).toMatchObject({ failure: { code: "ProcessExited" } });
    expect(await system.text(missing)).toContain("ENOENT");
  });

  test("control: where nothing was allowed there is no proxy, and no network", async () => {
    const before = allowed;
    allowed = [];
    const alone = { action: "alone", argv: [node, "-e", script(`https://${address}:${port}/`)] };
    expect(await system.run(alone)).toMatchObject({ kind: "failed" });
    expect(await system.text(alone)).toMatch(/failed: .*(ECONNREFUSED|ENETUNREACH)/);
    allowed = before;
  });
});
