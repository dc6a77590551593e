/** How a test signs in: the one-time claim makes a machine client, whose credentials give tokens. */
import { request } from "node:https";

interface Authority {
  readonly authority: string;
  readonly rootPem: string;
}

export interface MachineClient {
  readonly id: string;
  readonly secret: string;
}

export async function redeemClaim(authority: Authority, claim: string): Promise<MachineClient> {
  const answer = await post(
    authority,
    "/claim",
    "application/json",
    JSON.stringify({ claim, client: { name: "tests" } }),
  );
  const { client } = JSON.parse(answer) as { client: { client_id: string; client_secret: string } };
  return { id: client.client_id, secret: client.client_secret };
}

/** An access token by client credentials. */
export async function requestToken(authority: Authority, client: MachineClient): Promise<string> {
  const basic = Buffer.from(`${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret)}`).toString(
    "base64",
  );
  const body = "grant_type=client_credentials";
  const answer = await post(authority, "/token", "application/x-www-form-urlencoded", body, `Basic ${basic}`);
  return (JSON.parse(answer) as { access_token: string }).access_token;
}

const requestMsMax = 30_000;

function post(
  to: Authority,
  path: string,
  type: string,
  body: string,
  authorization?: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": type, ...(authorization === undefined ? {} : { authorization }) };
    const options = { method: "POST", ca: to.rootPem, headers, timeout: requestMsMax };
    const call = request(new URL(path, to.authority), options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`POST ${path} answered ${response.statusCode}: ${text.slice(0, 500)}`));
      });
    });
    call.on("error", reject);
    call.on("timeout", () => call.destroy(new Error(`POST ${path} took longer than ${requestMsMax} ms.`)));
    call.end(body);
  });
}
