/** Plain HTTPS requests for tests of the object server, with nothing added that the test did not ask for. */
import { type IncomingHttpHeaders, request as startHttpRequest } from "node:http";
import { request as startRequest } from "node:https";

export interface HttpsAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** S3's error code, where the body is an error. */
  readonly code: string | undefined;
}

export interface HttpsOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Uint8Array | string;
  readonly authorityPem: string;
}

export function send(url: string, options: HttpsOptions): Promise<HttpsAnswer> {
  const start = url.startsWith("https:") ? startRequest : startHttpRequest;
  return new Promise((resolve, reject) => {
    const sending = start(url, {
      method: options.method ?? "GET",
      headers: options.headers ?? {},
      ca: options.authorityPem,
      agent: false,
      // The Host header may be what a test alters; the connection goes to the right place all the same.
      servername: "localhost",
    });
    sending.on("error", reject);
    sending.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("error", reject);
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const body = Buffer.concat(chunks);
        const code = /<Code>([^<]+)<\/Code>/.exec(body.toString())?.[1];
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, code });
      });
    });
    sending.end(options.body);
  });
}
