/** How the customer's own provider is reached: TLS with the system's authorities and the one that the plane is given. */
import { rootCertificates } from "node:tls";
import { BiplaneError, KiB, second } from "@biplane/base";
import { HttpsAgent, httpsRequest } from "@biplane/kit/egress";
import { strongTls } from "@biplane/kit/tls";

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

const answerBytesMax = 512 * KiB;
const silenceMs = 10 * second;

/** `authorityPem`: believed besides the system's. */
export function createFetch(authorityPem: string | undefined): Fetch {
  const ca = authorityPem === undefined ? {} : { ca: [...rootCertificates, authorityPem] };
  const agent = new HttpsAgent({ keepAlive: true, maxSockets: 8, ...strongTls, ...ca });
  return (url, init = {}) =>
    new Promise((resolve, reject) => {
      const headers = Object.fromEntries(new Headers(init.headers));
      const options = { agent, method: init.method ?? "GET", headers, timeout: silenceMs };
      const outgoing = httpsRequest(url, options, (incoming) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerBytesMax)
            outgoing.destroy(new BiplaneError("out_of_range", "Too long an answer."));
          else chunks.push(chunk);
        });
        incoming.on("error", reject);
        incoming.on("end", () => {
          const type = incoming.headers["content-type"];
          const answered = type === undefined ? {} : { headers: { "content-type": type } };
          resolve(new Response(Buffer.concat(chunks), { status: incoming.statusCode ?? 500, ...answered }));
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(new BiplaneError("unavailable", "No answer in time.")));
      outgoing.on("error", reject);
      outgoing.end(init.body === undefined || init.body === null ? undefined : String(init.body));
    });
}
