/** Takes the token that the SDK's own calls carry, and uses it for what it was not given for. */
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { connect as connectTls } from "node:tls";
import { step } from "@biplane/sdk";
import { type Attempt, attempt } from "./attempt.ts";

/** A call of the router in JSON. */
export interface Call {
  /** `package.Service/Method` */
  readonly method: string;
  readonly body: string;
}

const sockets = process.env["BIPLANE_SOCKETS"] ?? "/run/biplane";
const stealMsMax = 10_000;

export async function tryRouter(calls: readonly Call[]): Promise<Attempt[]> {
  if (calls.length === 0) return [];
  const session = openSession();
  try {
    const token = await stealToken(session);
    const attempts: Attempt[] = [];
    for (const { method, body } of calls) {
      attempts.push(await attempt("router call", method, () => send(session, token, method, body)));
    }
    return attempts;
  } finally {
    session.close();
  }
}

/** Through the sandbox's own socket, as the SDK does. */
export function openSession(): ClientHttp2Session {
  const ca = readFileSync(`${sockets}/root.pem`);
  return connect("https://localhost", {
    createConnection: () =>
      connectTls({ path: `${sockets}/router.sock`, ca, servername: "localhost", ALPNProtocols: ["h2"] }),
  });
}

/** Every session of this process makes its requests by one function: it can be replaced. */
export async function stealToken(session: ClientHttp2Session): Promise<string> {
  const shared = Object.getPrototypeOf(session) as ClientHttp2Session;
  const original = shared.request;
  const seen = Promise.withResolvers<string>();
  const timer = setTimeout(() => seen.reject(new Error("no token was seen")), stealMsMax);
  shared.request = function request(this: ClientHttp2Session, ...parameters) {
    const { authorization } = (parameters[0] ?? {}) as { authorization?: string };
    if (authorization !== undefined) seen.resolve(authorization);
    return original.apply(this, parameters);
  };
  try {
    const [token] = await Promise.all([seen.promise, step("a call of the SDK's own", () => 1)]);
    return token;
  } finally {
    clearTimeout(timer);
    shared.request = original;
  }
}

export async function send(
  session: ClientHttp2Session,
  authorization: string,
  method: string,
  body: string,
): Promise<string> {
  const stream = session.request({
    ":method": "POST",
    ":path": `/${method}`,
    authorization,
    "content-type": "application/json",
    "connect-protocol-version": "1",
  });
  stream.end(body);
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    stream.once("response", resolve);
    stream.once("error", reject);
  });
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  if (Number(headers[":status"]) === 200) return text;
  const { code } = JSON.parse(text) as { code?: string };
  throw Object.assign(new Error(text), { code });
}
