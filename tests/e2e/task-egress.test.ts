/** Tasks reach the hosts that their project was allowed, by the data plane's proxy, and nothing else (claim RES-4). */
import { execFile } from "node:child_process";
import { getServers } from "node:dns";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { type AuditRecord, decodeAuditRecord } from "@biplane/audit";
import { day } from "@biplane/base";
import { audit } from "@biplane/data-wire";
import { createRootAuthority, issueCertificate } from "@biplane/kit/certificates";
import { serverTlsOptions, type TlsIdentity } from "@biplane/kit/tls";
import type { RemoteClient } from "@biplane/sdk/remote/client";
import { eventually } from "@biplane/verify/frame/eventually";
import { afterAll, beforeAll, expect, test } from "vitest";
import { programPath } from "../support/daemon.ts";
import { describeWithTools } from "../support/tools.ts";
import { domain, project, type System, startSystem } from "./system.ts";

const workflow = resolve(import.meta.dirname, "workflows/egress.ts");
/** Loopback that no variable exempts from the proxy. */
const address = "127.0.0.2";

interface Visit {
  readonly body: string;
  readonly message: string;
  readonly code: string;
  readonly reason: string;
}

let system: System;
let client: RemoteClient;
let authority: TlsIdentity;
let server: Server;
let port: number;
let heard = 0;

async function biplane(...words: string[]): Promise<string> {
  const env = { ...process.env, ...system.environment() };
  const { stdout } = await promisify(execFile)(process.execPath, [programPath("cli"), ...words], { env });
  return stdout;
}

const change = (...words: string[]) => biplane("update", "project", project, ...words);

async function run<T>(task: string, input: object): Promise<T> {
  const started = await client.run({ file: workflow, task }, input);
  expect(await started.wait(AbortSignal.timeout(60_000))).toMatchObject({ succeeded: true });
  return (await started.outputs()) as T;
}

const visit = (url: string) => run<Visit>("visit", { url, authority: authority.certificatePem });

async function recorded(): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  const request = { plane: audit.AuditPlane.DATA, codes: ["TASK_EGRESS"] };
  for await (const { record } of client.connection.audit.readRecords(request)) {
    found.push(decodeAuditRecord(record));
  }
  return found;
}

describeWithTools("the tasks' way out", ["bubblewrap"], () => {
  beforeAll(async () => {
    authority = await createRootAuthority("somebody else's authority", day);
    const hosts = [address, hostname(), "localhost"];
    const leaf = await issueCertificate(authority, {
      commonName: address,
      hosts,
      uses: ["server"],
      lifetimeMs: day,
    });
    server = createServer(serverTlsOptions({ identity: leaf }), (request, response) => {
      heard += 1;
      response.end(`${request.method} ${request.url}`);
    }).listen(0);
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
    system = await startSystem();
    client = await system.connect();
  });
  afterAll(async () => {
    await system?.close();
    server?.close();
    server?.closeAllConnections();
  });

  test("without being allowed anything a task reaches nothing, and is told what to do", async () => {
    const refused = await visit(`https://${address}:${port}/first`);
    expect(refused).toMatchObject({ body: "", code: "permission_denied", reason: "host_not_allowed" });
    expect(refused.message).toContain(`biplane update project ${project} --allow-host ${address}:${port}`);
    expect(heard).toBe(0);
  });

  test("what it was allowed it reaches by a plain fetch, encrypted up to there", async () => {
    expect(await change("--allow-host", `${address}:${port}`)).toContain(`${address}:${port}`);
    expect(await visit(`https://${address}:${port}/second`)).toMatchObject({ body: "GET /second" });
    const listed = await biplane("egress", "-o", "json");
    expect(JSON.parse(listed)).toContainEqual({ purpose: `tasks of ${project}`, host: address, port });
    expect(await biplane("get", "project")).toContain(`${address}:${port}`);
    const other = await visit(`https://${address}:${port + 1}/`);
    expect(other).toMatchObject({ code: "permission_denied", reason: "host_not_allowed" });
    expect(await visit("https://example.com/")).toMatchObject({ reason: "host_not_allowed" });
  });

  test("so do Node's other client and programs that a task starts; servers of its own need no proxy", async () => {
    const url = `https://${address}:${port}/other`;
    expect(await run("other-ways", { url, authority: authority.certificatePem })).toEqual([
      "GET /other",
      "GET /other",
      "the task's own",
    ]);
  });

  test("a name that was allowed and leads to loopback is refused until that address is allowed, too", async () => {
    await change("--allow-host", `${hostname()}:${port}`, `localhost:${port}`);
    // From now on the machine's name servers may be asked.
    const listed = JSON.parse(await biplane("egress", "-o", "json")) as { purpose: string; host: string }[];
    const servers = listed.filter(({ purpose }) => purpose === "name resolution").map(({ host }) => host);
    expect(servers).toEqual(getServers());
    const before = heard;
    const leading = await visit(`https://${hostname()}:${port}/third`);
    expect(leading).toMatchObject({ code: "permission_denied", reason: "address_not_allowed" });
    expect(leading.message).toMatch(/resolves to (127\.|::1|10\.|172\.|192\.168\.)/);
    expect(await run<string[]>("ask", { lines: [`CONNECT localhost:${port}`] })).toEqual([
      "HTTP/1.1 403 address_not_allowed",
    ]);
    expect(heard).toBe(before);
    await change("--allow-host", `127.0.0.1:${port}`, `[::1]:${port}`);
    // Control: the same question, answered.
    expect(await run<string[]>("ask", { lines: [`CONNECT localhost:${port}`] })).toEqual([
      "HTTP/1.1 200 Connection established",
    ]);
    await change("--withdraw-host", `127.0.0.1:${port}`, `[::1]:${port}`, `localhost:${port}`);
  });

  test("metadata and link-local addresses can't even be allowed, and plain HTTP is not passed on", async () => {
    for (const host of ["169.254.169.254:80", "[fe80::1]:80", "[::ffff:169.254.169.254]:80"]) {
      await expect(change("--allow-host", host)).rejects.toThrow("can't be allowed as a host");
    }
    const answers = await run<string[]>("ask", {
      lines: [
        "CONNECT 169.254.169.254:80",
        "CONNECT 2852039166:80",
        "CONNECT nonsense",
        `GET http://${address}:${port}/`,
      ],
    });
    expect(answers).toEqual([
      "HTTP/1.1 403 host_not_allowed",
      "HTTP/1.1 400 target_invalid",
      "HTTP/1.1 400 target_invalid",
      "HTTP/1.1 405 Method Not Allowed",
    ]);
  });

  test("what is withdrawn ends at once, open connections as well", async () => {
    const holding = await client.run({ file: workflow, task: "hold" }, { authority: `${address}:${port}` });
    await eventually(
      async () => {
        for await (const { text } of holding.logs()) if (text.includes("holding")) return text;
        return "";
      },
      (text) => text !== "",
      { withinMs: 30_000, what: "The held connection" },
    ).then((text) => expect(text).toContain("200"));
    await change("--withdraw-host", `${address}:${port}`);
    expect(await holding.wait(AbortSignal.timeout(30_000))).toMatchObject({ succeeded: true });
    expect(await visit(`https://${address}:${port}/`)).toMatchObject({ reason: "host_not_allowed" });
  });

  test("every attempt is on record, as its run's, refused ones as well", async () => {
    const records = await recorded();
    const target = `${address}:${port}`;
    const first = records.find((one) => one.address === target);
    expect(first).toMatchObject({ decision: "denied", reason: "host_not_allowed", project, domain });
    expect(first).toMatchObject({ addressFrom: "sandbox", method: "CONNECT", action: "a0", attempt: 1 });
    expect(first?.subject).toBe(`task:${project}/${domain}/${first?.run}/a0/1`);
    expect(records.some((one) => one.address === target && one.decision === "allowed")).toBe(true);
    const reasons = new Set(records.map(({ reason }) => reason));
    for (const reason of ["address_not_allowed", "target_invalid", "plain_http"]) {
      expect(reasons).toContain(reason);
    }
  });

  test("control: what was refused is there, for those who may", async () => {
    const socket = connect(port, address);
    await once(socket, "connect");
    socket.destroy();
  });
});
