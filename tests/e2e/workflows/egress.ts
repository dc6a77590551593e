/** Tasks that connect to what they are told, as a program would, and report what came of it. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { get } from "node:https";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setDefaultCACertificates } from "node:tls";
import { promisify } from "node:util";
import { task, z } from "@biplane/sdk";

const outcome = z.object({ body: z.string(), message: z.string(), code: z.string(), reason: z.string() });

export const visit = task(
  { name: "visit", input: z.object({ url: z.string(), authority: z.string() }), output: outcome },
  async ({ url, authority }) => {
    if (authority !== "") setDefaultCACertificates([authority]);
    try {
      const body = await (await fetch(url)).text();
      return { body, message: "", code: "", reason: "" };
    } catch (error) {
      const { message, cause } = error as Error;
      const { code = "", reason = "" } = (cause ?? {}) as { code?: string; reason?: string };
      return { body: "", message, code, reason };
    }
  },
);

/** By Node's other client, by a program that the task starts, and to a server of the task's own. */
export const otherWays = task(
  {
    name: "other-ways",
    input: z.object({ url: z.string(), authority: z.string() }),
    output: z.array(z.string()),
  },
  async ({ url, authority }) => {
    const [response] = await once(get(url, { ca: authority }), "response");
    writeFileSync("/tmp/authority.pem", authority);
    const script = `fetch(${JSON.stringify(url)}).then((r) => r.text()).then((t) => process.stdout.write(t))`;
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: "/tmp/authority.pem" };
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], { env });
    const server = createServer((_, own) => own.end("the task's own")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const own = await (await fetch(`http://127.0.0.1:${port}/`)).text();
    server.close();
    return [await text(response), stdout, own];
  },
);

/** Past every variable that says where no proxy is wanted. */
export const ask = task(
  { name: "ask", input: z.object({ lines: z.array(z.string()) }), output: z.array(z.string()) },
  async ({ lines }) => {
    const { port, hostname } = new URL(process.env["HTTPS_PROXY"]!);
    return Promise.all(
      lines.map(async (line) => {
        const socket = connect(Number(port), hostname);
        socket.write(`${line} HTTP/1.1\r\nhost: proxy\r\n\r\n`);
        const [first] = (await once(socket, "data")) as [Buffer];
        socket.destroy();
        return first.toString("latin1").split("\r\n")[0]!;
      }),
    );
  },
);

export const hold = task(
  { name: "hold", input: z.object({ authority: z.string() }), output: z.string() },
  async ({ authority }) => {
    const { port, hostname } = new URL(process.env["HTTPS_PROXY"]!);
    const socket = connect(Number(port), hostname);
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: proxy\r\n\r\n`);
    const [first] = (await once(socket, "data")) as [Buffer];
    console.log(`holding ${first.toString("latin1").split("\r\n")[0]}`);
    await once(socket, "close");
    return "closed";
  },
);
