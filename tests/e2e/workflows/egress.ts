/** Tasks that connect to what they are told, as a program would, and report what came of it. */
import { once } from "node:events";
import { connect } from "node:net";
import { setDefaultCACertificates } from "node:tls";
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
