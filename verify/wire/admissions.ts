/** Whom link and tunnel let in, by the certificate that is shown: one connection for each. */
import { connect } from "node:tls";
import { EnrollmentService } from "@biplane/control-wire";
import { createClientTransport } from "@biplane/kit/connect-client";
import { type ClientTlsOptions, clientTlsOptions } from "@biplane/kit/tls";
import { tunnelVersions } from "@biplane/tunnel-protocol";
import { Code, ConnectError, createClient } from "@connectrpc/connect";

export type Admission = { readonly kind: "let in" } | { readonly kind: "refused"; readonly why: string };

const answerMsMax = 5_000;
const letIn: Admission = { kind: "let in" };

/** Asks for a renewal without saying for which key: only who may ask hears that. */
export async function knockAtLink(address: string, tls: ClientTlsOptions): Promise<Admission> {
  const transport = createClientTransport({ baseUrl: `https://${address}`, tls });
  try {
    await createClient(EnrollmentService, transport).renew({}, { timeoutMs: answerMsMax });
    return letIn;
  } catch (error) {
    const { code, message } = ConnectError.from(error);
    return code === Code.InvalidArgument ? letIn : { kind: "refused", why: message.split(/\.\s/)[0]! };
  }
}

/** The edge speaks first to a connector that it lets in. */
export function knockAtTunnel(address: string, tls: ClientTlsOptions): Promise<Admission> {
  const [host = "", port = ""] = address.split(":");
  return new Promise((resolve, reject) => {
    const options = { host, servername: host, port: Number(port), ALPNProtocols: [...tunnelVersions] };
    const socket = connect({ ...options, ...clientTlsOptions(tls) });
    const end = (admission: Admission) => {
      resolve(admission);
      socket.destroy();
    };
    socket.setTimeout(answerMsMax, () => socket.destroy(new Error("The edge says nothing at all.")));
    socket.once("data", () => end(letIn));
    socket.once("close", () => end({ kind: "refused", why: "closed" }));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === undefined || error.code === "ECONNREFUSED") reject(error);
      else end({ kind: "refused", why: error.code });
    });
  });
}
